"""What every request passes, whatever its slice: limits, identity, strict JSON, one transaction, one error shape."""
