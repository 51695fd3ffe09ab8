import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { asProblem, type Problem } from '@/api/problem'
import { ask, cancelSQL, lookAt, newQueryID, rowsOf, runSQL, type SQLAnswer, type Where } from '@/api/sql'
import type { Branch } from '@/api/types'

export type Wish = { sql: string; write: boolean; maxRows: number; moment: string }
export type Outcome = { answer: SQLAnswer; wish: Wish }

const patience = 300 // seconds for a statement

/** Runs SQL on a branch, or on a look at a moment of it, one script at a time. */
export function useRunner(branch: Branch) {
  const [outcome, setOutcome] = useState<Outcome | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [doing, setDoing] = useState<'' | 'run' | 'look'>('')
  const running = useRef<{ where: Where; id: string; stop: AbortController } | null>(null)
  const look = useRef<{ moment: string; name: string } | null>(null)
  const here = { project: branch.project, branch: branch.name }

  // Whoever leaves takes the query along: nobody would see its end.
  useEffect(() => () => abandon(running.current), [])

  const place = async (moment: string, stop: AbortController, again: boolean): Promise<Where> => {
    if (moment === '') return here
    if (again || look.current?.moment !== moment) {
      setDoing('look')
      look.current = { moment, name: await lookAt(here, moment, stop.signal) }
    }
    setDoing('run')
    return { project: branch.project, branch: look.current.name }
  }

  const run = async (wish: Wish) => {
    if (running.current) return
    const stop = new AbortController()
    const query = { sql: wish.sql, write: wish.write, max_rows: wish.maxRows, timeout_seconds: patience }
    const one = { where: here as Where, id: newQueryID(), stop }
    running.current = one
    setDoing('run')
    setProblem(null)
    try {
      for (let again = false; ; again = true) {
        one.where = await place(wish.moment, stop, again)
        try {
          const answer = await runSQL(one.where, { ...query, id: one.id }, stop.signal)
          setOutcome({ answer, wish })
          break
        } catch (thrown) {
          // A look that nobody used for a while is gone; the moment is not.
          if (wish.moment === '' || again || asProblem(thrown).code !== 'not_found') throw thrown
        }
      }
    } catch (thrown) {
      if (!stop.signal.aborted) setProblem(asProblem(thrown))
    } finally {
      running.current = null
      setDoing('')
    }
  }

  const cancel = () => {
    const one = running.current
    if (!one) return
    if (doing === 'look') one.stop.abort()
    else
      cancelSQL(one.where, one.id).catch((thrown) => {
        // The query may not have reached the server yet, or have ended just now.
        if (asProblem(thrown).code !== 'not_found') setProblem(asProblem(thrown))
        else if (running.current === one) window.setTimeout(cancel, 200)
      })
  }

  return { outcome, problem, doing, run, cancel }
}

function abandon(one: { where: Where; id: string; stop: AbortController } | null): void {
  if (!one) return
  cancelSQL(one.where, one.id).catch(() => {})
  one.stop.abort()
}

const names = `SELECT n.nspname, c.relname, pg_catalog.json_agg(a.attname ORDER BY a.attnum)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r','p','v','m','f') AND n.nspname !~ '^pg_(toast|temp)' AND n.nspname NOT IN ('information_schema','pg_catalog')
GROUP BY 1, 2 ORDER BY 1, 2`

/** The names that can be completed. A sleeping branch is not woken for them. */
export function useNames(branch: Branch) {
  return useQuery({
    queryKey: ['names', branch.id],
    enabled: branch.activity === 'awake',
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const where = { project: branch.project, branch: branch.name }
      const [result] = await ask(where, { sql: names, max_rows: 3000 }, signal)
      const out: Record<string, Record<string, string[]>> = {}
      for (const [schema, table, columns] of rowsOf(result)) {
        if (!schema || !table) continue
        out[schema] ??= {}
        out[schema][table] = JSON.parse(columns ?? '[]')
      }
      return out
    },
  }).data
}
