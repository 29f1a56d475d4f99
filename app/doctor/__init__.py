"""What `python -m app doctor` looks at: each check tells what is well, or what is wrong."""
