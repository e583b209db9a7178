"""The values of components: which Python types stand for which JSON, both ways, and what is refused."""
