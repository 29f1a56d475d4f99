"""Entity tags, conditional GET and the response cache."""
