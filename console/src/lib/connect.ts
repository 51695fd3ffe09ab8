import type { Connection } from '@/api/types'

/** One way to connect: what a person pastes, and where to. */
export type Snippet = { id: string; label: string; file: string; text: string }

/** What stands in the place of a password that is not shown. It is as long for every password. */
export const mask = '••••••••••••'

/** Wraps a value in single quotes for a POSIX shell. */
export function shellQuote(value: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`
}

/** A value of an .env file: quoted so that neither a shell nor a dotenv reader expands it. */
function envQuote(value: string): string {
  return /^[A-Za-z0-9_./:@%+=,?&-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`
}

/** The same URL with another password; nothing else of it is touched. */
export function withPassword(c: Connection, password: string): Connection {
  const secret = `:${encodeURIComponent(c.password)}@`
  const at = c.password === '' ? -1 : c.url.indexOf(secret)
  const url = at < 0 ? c.url : `${c.url.slice(0, at)}:${password}@${c.url.slice(at + secret.length)}`
  return { ...c, url, password }
}

/** The connection with its password covered, for the screen. */
export function masked(c: Connection): Connection {
  return withPassword(c, mask)
}

/** Every way to connect that the console offers. Programs read the URL from the environment, so that no password is pasted into code. */
export function snippets(c: Connection): Snippet[] {
  const jdbc = `jdbc:postgresql://${c.host.includes(':') ? `[${c.host}]` : c.host}:${c.port}/${encodeURIComponent(c.database)}?sslmode=${c.sslmode}`
  return [
    { id: 'psql', label: 'psql', file: 'shell', text: `psql ${shellQuote(c.url)}` },
    { id: 'url', label: 'URL', file: 'connection string', text: c.url },
    { id: 'env', label: '.env', file: '.env', text: environment(c) },
    { id: 'node', label: 'Node', file: 'db.js · npm install pg', text: node },
    { id: 'go', label: 'Go', file: 'main.go · go get github.com/jackc/pgx/v5', text: go },
    { id: 'python', label: 'Python', file: 'db.py · pip install "psycopg[binary]"', text: python },
    {
      id: 'drizzle',
      label: 'Drizzle',
      file: 'drizzle.config.ts · npm install drizzle-orm drizzle-kit pg',
      text: drizzle,
    },
    {
      id: 'jdbc',
      label: 'JDBC',
      file: 'application.properties',
      text: `spring.datasource.url=${jdbc}\nspring.datasource.username=${c.user}\nspring.datasource.password=${c.password}`,
    },
  ]
}

function environment(c: Connection): string {
  const pairs: [string, string][] = [
    ['DATABASE_URL', c.url],
    ['PGHOST', c.host],
    ['PGPORT', String(c.port)],
    ['PGUSER', c.user],
    ['PGPASSWORD', c.password],
    ['PGDATABASE', c.database],
    ['PGSSLMODE', c.sslmode],
  ]
  return pairs.map(([name, value]) => `${name}=${value === mask ? value : envQuote(value)}`).join('\n')
}

// node-postgres verifies certificates under sslmode=require; the front door makes its own unless it is given one.
const node = `import pg from 'pg'

// DATABASE_URL comes from the .env tab; run with: node --env-file=.env db.js
const url = new URL(process.env.DATABASE_URL)
url.searchParams.delete('sslmode')
const pool = new pg.Pool({ connectionString: url.href, ssl: { rejectUnauthorized: false } })

const { rows } = await pool.query('select current_database(), version()')
console.log(rows[0])
await pool.end()`

const go = `package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)

	var database string
	if err := conn.QueryRow(ctx, "select current_database()").Scan(&database); err != nil {
		log.Fatal(err)
	}
	fmt.Println(database)
}`

const python = `import os
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as conn:
    print(conn.execute("select current_database(), version()").fetchone())`

const drizzle = `import { defineConfig } from 'drizzle-kit'

const url = new URL(process.env.DATABASE_URL!)

export default defineConfig({
  dialect: 'postgresql',
  schema: './src/schema.ts',
  out: './drizzle',
  dbCredentials: {
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ssl: { rejectUnauthorized: false },
  },
})`
