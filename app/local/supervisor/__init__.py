"""`python -m app run`: embedded servers, API and worker as one program."""
