"""What a machine without servers needs: embedded servers, supervisor, demonstration data."""
