"""The rig that makes the troubles of the table on this machine, and the tests of what the check says of them."""
