"""What several test folders share: a repository in a folder, a live command, schemas, left-over processes."""
