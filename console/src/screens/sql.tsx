import { Clock, History, Lock, LockOpen, Play, Square, Terminal } from 'lucide-react'
import { lazy, Suspense, useEffect, useState } from 'react'
import type { Branch } from '@/api/types'
import { useKept } from '@/lib/kept'
import { mayChange, useRights } from '@/lib/rights'
import { destroys, onlyReads, type Statement, statements } from '@/lib/sql-text'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { Confirm } from '@/ui/confirm'
import { Input, Select } from '@/ui/field'
import { Menu, MenuContent, MenuItem, MenuLabel, MenuTrigger } from '@/ui/menu'
import { Ago, Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import type { Chosen } from '@/ui/sql-editor'
import { useBranch } from './branch'
import { Results } from './sql-results'
import { SavedMenu } from './sql-saved'
import { useNames, useRunner, type Wish } from './sql-state'

const SQLEditor = lazy(() => import('@/ui/sql-editor'))

type Past = { sql: string; at: string }
const kept = 100

/** How long production stays open for writing. */
const writeFor = 15 * 60 * 1000

export function BranchSQL() {
  const branch = useBranch()
  const rights = useRights(branch.project)
  const may = mayChange(rights, branch)
  const production = branch.environment === 'production'
  const [text, setText] = useKept(`sql.text.${branch.id}`, '')
  const [past, setPast] = useKept<Past[]>(`sql.past.${branch.id}`, [])
  const [chosen, setChosen] = useState<Chosen>({ text, selected: false, from: 0 })
  const [wantsWrite, setWantsWrite] = useState(!production)
  const [limit, setLimit] = useState('1000')
  const [moment, setMoment] = useState<string | null>(null)
  const [asking, setAsking] = useState<Wish | null>(null)
  const [opening, setOpening] = useState(false)
  const names = useNames(branch)
  const { outcome, problem, doing, run, cancel } = useRunner(branch)
  const write = wantsWrite && may && moment === null
  const [nth, setNth] = useState(0)

  useEffect(() => {
    if (!production || !wantsWrite) return
    const timer = setTimeout(() => setWantsWrite(false), writeFor)
    return () => clearTimeout(timer)
  }, [production, wantsWrite])
  // biome-ignore lint/correctness/useExhaustiveDependencies: each outcome opens its own tabs
  useEffect(() => setNth((n) => n + 1), [outcome])

  const wish = (sql: string): Wish => ({ sql, write, maxRows: Number(limit), moment: moment?.trim() ?? '' })
  const begin = (one: Wish) => {
    setPast([{ sql: one.sql, at: new Date().toISOString() }, ...past.filter((p) => p.sql !== one.sql)].slice(0, kept))
    run(one)
  }
  const start = (sql: string, reads = false) => {
    if (doing !== '' || sql.trim() === '') return
    const one = reads ? { ...wish(sql), write: false } : wish(sql)
    if (one.write && losses(sql).length > 0) setAsking(one)
    else begin(one)
  }
  const explain = (analyze: boolean) => {
    const first = statements(chosen.text)[0]
    // Analyzing runs it: what changes something after all is refused.
    if (first) start(`EXPLAIN (FORMAT JSON${analyze ? ', ANALYZE, BUFFERS' : ''}) ${first.text}`, true)
  }
  const first: Statement | undefined = statements(chosen.text)[0]

  return (
    <Panel className="flex min-h-[38rem] flex-col lg:h-[calc(100dvh-13rem)]">
      <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
        {doing === '' ? (
          <Button
            variant={production && write ? 'danger' : 'primary'}
            onClick={() => start(chosen.text)}
            disabled={chosen.text.trim() === '' || (moment !== null && moment.trim() === '')}
          >
            <Play /> {chosen.selected ? 'Run selection' : 'Run'}
          </Button>
        ) : (
          <Button onClick={cancel}>
            <Square /> {doing === 'look' ? 'Preparing the moment… Cancel' : 'Cancel'}
          </Button>
        )}
        <Menu>
          <MenuTrigger asChild>
            <Button disabled={!first || doing !== ''}>Explain</Button>
          </MenuTrigger>
          <MenuContent align="start">
            <MenuItem onSelect={() => explain(false)}>Estimate only</MenuItem>
            <MenuItem onSelect={() => explain(true)} disabled={!first || !onlyReads(first)} hint="runs it">
              Analyze
            </MenuItem>
          </MenuContent>
        </Menu>
        <Select
          aria-label="Row limit"
          value={limit}
          onValueChange={setLimit}
          className="w-28"
          options={['100', '1000', '10000', '100000'].map((n) => ({ value: n, label: `${n} rows` }))}
        />
        <Button
          variant={moment === null ? 'ghost' : 'secondary'}
          aria-pressed={moment !== null}
          onClick={() => setMoment(moment === null ? '10 minutes ago' : null)}
        >
          <Clock /> As of
        </Button>
        {moment !== null && (
          <Input
            aria-label="The moment"
            value={moment}
            onChange={(e) => setMoment(e.target.value)}
            placeholder="2026-11-20 14:03:11+01"
            className="w-56"
          />
        )}
        <PastMenu past={past} onChoose={setText} />
        <SavedMenu project={branch.project} sql={chosen.text} onChoose={setText} />
        <span className="ml-auto">
          {moment !== null ? (
            <span className="text-muted text-xs">Reads a copy of that moment; nothing can change.</span>
          ) : may ? (
            <Button
              variant="ghost"
              aria-pressed={write}
              className={cn(write && production && 'text-production')}
              onClick={() => (write ? setWantsWrite(false) : production ? setOpening(true) : setWantsWrite(true))}
            >
              {write ? <LockOpen /> : <Lock />} {write ? 'May change data' : 'Read-only'}
            </Button>
          ) : (
            <span className="flex items-center gap-1.5 text-muted text-xs">
              <Lock className="size-3.5" aria-hidden /> Read-only
            </span>
          )}
        </span>
      </div>
      <div className="h-52 shrink-0 border-line border-b">
        <Suspense fallback={<Skeleton className="h-full rounded-none" />}>
          <SQLEditor
            label={`SQL for ${branch.name}`}
            text={text}
            onText={setText}
            onChoose={setChosen}
            onRun={() => start(chosen.text)}
            completions={names}
          />
        </Suspense>
      </div>
      <div className="flex min-h-0 flex-1 flex-col" aria-live="polite">
        {problem && <ErrorNotice error={problem} className="m-3" />}
        {outcome ? (
          <Results key={nth} outcome={outcome} />
        ) : (
          !problem && (
            <Empty icon={Terminal} title="Nothing has run yet">
              Write SQL above and press <b>Ctrl Enter</b>. With a selection only the selected text runs. It runs as the
              owner role of the project{branch.activity === 'asleep' && '; the database wakes for it'}.
            </Empty>
          )
        )}
      </div>
      <Destruction branch={branch} wish={asking} onClose={() => setAsking(null)} onGo={begin} />
      <Confirm
        open={opening}
        onOpenChange={setOpening}
        title="Change production’s data by hand?"
        action="Allow for 15 minutes"
        production
        onConfirm={async () => setWantsWrite(true)}
      >
        Statements that change something take effect at once. The history lets you come back to a moment before them.
      </Confirm>
    </Panel>
  )
}

function losses(sql: string): { text: string; loss: string }[] {
  return statements(sql).flatMap((s) => {
    const loss = destroys(s)
    return loss ? [{ text: s.text, loss }] : []
  })
}

function Destruction({
  branch,
  wish,
  onClose,
  onGo,
}: {
  branch: Branch
  wish: Wish | null
  onClose: () => void
  onGo: (wish: Wish) => void
}) {
  return (
    <Confirm
      open={wish !== null}
      onOpenChange={(open) => !open && onClose()}
      title="This destroys something"
      action="Run it"
      danger
      production={branch.environment === 'production'}
      onConfirm={async () => {
        if (wish) onGo(wish)
      }}
    >
      <ul className="flex flex-col gap-2">
        {losses(wish?.sql ?? '').map((l, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: statements have no other identity than their order
          <li key={i}>
            <code className="line-clamp-3 text-xs">{l.text}</code>
            <span className="text-production">{l.loss}</span>
          </li>
        ))}
      </ul>
    </Confirm>
  )
}

function PastMenu({ past, onChoose }: { past: Past[]; onChoose: (sql: string) => void }) {
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button variant="ghost" disabled={past.length === 0}>
          <History /> History
        </Button>
      </MenuTrigger>
      <MenuContent align="start" className="max-h-96 w-96 max-w-[90vw] overflow-y-auto">
        <MenuLabel>Run from this browser</MenuLabel>
        {past.map((p) => (
          <MenuItem key={p.at} onSelect={() => onChoose(p.sql)} hint={<Ago at={p.at} />}>
            <code className="min-w-0 truncate text-xs">{p.sql}</code>
          </MenuItem>
        ))}
      </MenuContent>
    </Menu>
  )
}
