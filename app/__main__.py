"""`python -m app`."""

if __name__ == "__main__":  # the processes that make PDFs read this module, too
    from app.cli.main import main

    main()
