"""What every question of the bench needs: durable stores, many rows, processes to watch, and a report."""
