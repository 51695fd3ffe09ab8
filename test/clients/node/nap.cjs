// A pool of node-postgres that is used now and then: each line of the input is sent by all its clients at once.
const { Pool } = require('pg');
const readline = require('node:readline');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 3, idleTimeoutMillis: 0 });
pool.on('error', (e) => console.log(`an idle client was told ${e.code}`));

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const ask = () => pool.query({ name: 'echo', text: 'SELECT $1::text AS said FROM pg_sleep(0.05)', values: [line] });
    const answers = await Promise.all([ask(), ask(), ask()]).catch((e) => [{ rows: [{ said: e.code }] }]);
    console.log(answers.map((a) => a.rows[0].said).join(' '));
  }
  await pool.end();
}

main().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
