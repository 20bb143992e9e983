"""What jobs of many requests share: the queue, the worker threads, retries, interrupts and progress."""
