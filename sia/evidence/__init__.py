"""What an author may know about earlier generations."""
