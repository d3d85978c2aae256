-- The role that gateway and worker connect as: it owns nothing, and `engage db migrate` grants it what they need.
-- The image of PostgreSQL runs this when its volume is first made. Run again, it sets the present password.
\getenv password APP_PASSWORD
SELECT 'CREATE ROLE engage_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'engage_app') \gexec
ALTER ROLE engage_app LOGIN PASSWORD :'password';
