"""Reading mail: from its bytes to the lines that a person would see, one step in each file."""
