"""Reading, writing and binding of XML, for every kind of document."""
