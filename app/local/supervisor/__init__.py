"""Everything at once for a machine that has nothing: servers, API and worker as one program."""
