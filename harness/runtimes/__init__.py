"""What starts a case. A runtime gets a complete LaunchSpec and knows nothing of matrices."""
