"""Where queries are asked. Each module implements `ports.Source` for one kind of source."""
