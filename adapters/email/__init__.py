"""Email: mail that a person would not call odd goes out by a smarthost, and comes in by SMTP or LMTP."""
