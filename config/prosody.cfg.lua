-- Beside Prosody: add this to /etc/prosody/prosody.cfg.lua, then `systemctl reload prosody`.
-- The secrets are those of mail.secret and sms.secret; make each by `openssl rand -hex 24`.

-- Globally, above the first VirtualHost. Without nagle = false each exchange waits up to 40 ms.
component_ports = { 5347 }
component_interfaces = { "127.0.0.1" }
network_settings = { nagle = false }

-- At the end of the file. Being below example.org, both show up in its service discovery.
Component "mail.example.org"
    component_secret = "the text in /etc/passerelle/mail.secret"
    --modules_enabled = { "privilege" }

Component "sms.example.org"
    component_secret = "the text in /etc/passerelle/sms.secret"
    --modules_enabled = { "privilege" }

-- Better, if you have mod_privilege (Debian: prosody-modules): contacts then stand in your users' rosters by
-- name and in a group of their own without anybody being asked, and what users mail from another program
-- shows in their chats as their own (XEP-0356). Add "privilege" to your modules_enabled, take the dashes
-- away above, and put this into VirtualHost "example.org":
--    privileged_entities = {
--        ["mail.example.org"] = { roster = "both"; message = "outgoing"; presence = "managed_entity" };
--        ["sms.example.org"] = { roster = "both"; message = "outgoing"; presence = "managed_entity" };
--    }

-- Files that come in are put where your users' own uploads lie: transports may use it as they are hosts
-- of this server. Only if you have set http_file_share_access, add both transports to it.
--Component "upload.example.org" "http_file_share"
--    http_file_share_access = { "example.org", "mail.example.org", "sms.example.org" }
