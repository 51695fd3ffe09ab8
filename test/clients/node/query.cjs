// What an application does with node-postgres: a pool, parameters, a transaction, a notification, an error with its SQLSTATE.
const { Pool } = require('pg');

async function main() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
  const counts = await Promise.all([1, 2, 3, 4].map((n) => pool.query('SELECT $1::int * count(*)::int AS n FROM messages', [n])));
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query('CREATE TEMP TABLE t (v jsonb) ON COMMIT DROP');
  await client.query('INSERT INTO t VALUES ($1)', [JSON.stringify({ deep: ['ä', null] })]);
  const stored = (await client.query('SELECT v FROM t')).rows[0].v;
  await client.query('COMMIT');
  const notified = new Promise((resolve) => client.once('notification', (n) => resolve(n.payload)));
  await client.query('LISTEN news');
  await pool.query("SELECT pg_notify('news', 'heard')");
  const heard = await notified;
  const code = await client.query('SELECT 1/0').catch((e) => e.code);
  client.release();
  await pool.end();
  console.log(JSON.stringify({ counts: counts.map((r) => r.rows[0].n), stored, heard, code }));
}

main().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
