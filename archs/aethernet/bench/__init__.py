"""What a network costs, measured: time, memory, operations. Functions return records and print nothing."""
