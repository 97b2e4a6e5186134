"""ETL: raw files to tables."""
