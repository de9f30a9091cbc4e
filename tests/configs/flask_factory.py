"""A Flask app made by a factory with arguments."""
wsgi_app = "shop:create_app(config='production', testing=False)"
bind = "0.0.0.0:5000"
workers = 2
threads = 2
preload_app = False
raw_env = [
    "FLASK_ENV=production",
    "SECRET=a=b=c",
]
limit_request_line = 8190
limit_request_field_size = 16380
