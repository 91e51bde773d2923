"""What each noun looks like on the wire."""
