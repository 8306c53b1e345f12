"""What tests share: waiting for conditions, making rows, cloning databases."""
