"""The harness's own speed and accuracy, as ratios against the bare tool in the same run."""
