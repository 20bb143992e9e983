"""A prompt for each row of a table: requests, job, and the columns of the result."""
