"""Other packages' optimizers as searchers: one file per package, named as the pip extra. Nothing else imports them."""
