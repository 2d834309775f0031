"""What is published of each domain: snapshots, the pure reducer, cells, the directory."""
