import { useInfiniteQuery, useMutation } from '@tanstack/react-query'
import { ChevronDown, ChevronRight, Download, RefreshCw, ScrollText, ShieldCheck } from 'lucide-react'
import { Fragment, useEffect, useState } from 'react'
import { toast } from 'sonner'
import { type AuditFilter, audit, everything } from '@/api/audit'
import { asProblem } from '@/api/problem'
import { queries } from '@/api/queries'
import type { AuditEntry } from '@/api/types'
import { csvOf, save } from '@/lib/export'
import { count, moment, words } from '@/lib/format'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { CopyButton } from '@/ui/copy'
import { Field, Input } from '@/ui/field'
import { Menu, MenuContent, MenuItem, MenuTrigger } from '@/ui/menu'
import { Ago, Empty, ErrorNotice, Notice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { PageHead } from './page'

/** The audit trail: who did what, on what, from where. */
export function ActivityScreen() {
  const [typed, setTyped] = useState(everything)
  const filter = useSettled(typed, 300)
  const trail = useInfiniteQuery({ ...queries.audit(filter), refetchInterval: 10_000 })
  const entries = trail.data?.pages.flat() ?? []
  const filtered = Object.values(filter).some((text) => text.trim() !== '')
  return (
    <>
      <PageHead
        name="Activity"
        title="Activity"
        about="Who did what, on what, from where. Entries are chained: what was written cannot be changed unnoticed."
      >
        <ExportMenu filter={filter} filtered={filtered} />
      </PageHead>
      <Verification />
      {trail.error && <ErrorNotice error={trail.error} className="mb-4" />}
      {!trail.error && !trail.data && <Skeleton className="h-80" />}
      {trail.data && (
        <Panel>
          <PanelHead title={`${count(entries.length)}${trail.hasNextPage ? ' newest' : ''} entries`}>
            {filtered && (
              <Button variant="quiet" size="inline" onClick={() => setTyped(everything)}>
                Show everything
              </Button>
            )}
            <Button size="icon" variant="ghost" aria-label="Read again" onClick={() => trail.refetch()}>
              <RefreshCw className={cn(trail.isRefetching && 'animate-spin')} />
            </Button>
          </PanelHead>
          <FilterBar filter={typed} onChange={setTyped} />
          {entries.length === 0 ? (
            <Empty icon={ScrollText} title={filtered ? 'Nothing matches' : 'Nothing has happened yet'} />
          ) : (
            <Entries entries={entries} />
          )}
          {trail.hasNextPage && (
            <div className="border-line border-t p-3 text-center">
              <Button size="sm" busy={trail.isFetchingNextPage} onClick={() => trail.fetchNextPage()}>
                Show older entries
              </Button>
            </div>
          )}
        </Panel>
      )}
    </>
  )
}

/** The value that stayed for some milliseconds: not every key asks the server. */
function useSettled<T>(value: T, milliseconds: number): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds)
    return () => clearTimeout(timer)
  }, [value, milliseconds])
  return settled
}

const fields: { name: keyof AuditFilter; label: string; placeholder?: string; moment?: true }[] = [
  { name: 'actor', label: 'Who', placeholder: 'ann' },
  { name: 'action', label: 'What', placeholder: 'backup.' },
  { name: 'subject', label: 'On', placeholder: 'shop/production' },
  { name: 'source', label: 'From', placeholder: '192.0.2.' },
  { name: 'since', label: 'Since', moment: true },
  { name: 'until', label: 'Until', moment: true },
]

function FilterBar({ filter, onChange }: { filter: AuditFilter; onChange: (filter: AuditFilter) => void }) {
  return (
    <search className="grid grid-cols-2 gap-3 border-line border-b p-3 lg:grid-cols-6">
      {fields.map((f) => (
        <Field key={f.name} label={<span className="font-normal text-muted text-xs">{f.label}</span>}>
          {(ids) => (
            <Input
              {...ids}
              type={f.moment ? 'datetime-local' : 'text'}
              maxLength={200}
              placeholder={f.placeholder}
              value={filter[f.name]}
              onChange={(e) => onChange({ ...filter, [f.name]: e.target.value })}
            />
          )}
        </Field>
      ))}
    </search>
  )
}

/** Checks the whole trail when asked, and shows how it ends: an end kept elsewhere shows later that nothing before it was changed. */
function Verification() {
  const check = useMutation({ mutationFn: audit.verify })
  const end = check.data && `${check.data.entries}:${check.data.hash}`
  return (
    <div className="mb-4 flex flex-col gap-3">
      {check.error && <ErrorNotice error={check.error} />}
      <Notice tone="accent" icon={ShieldCheck}>
        {check.data && end ? (
          <div className="min-w-0">
            <p className="font-medium">The trail is whole: {count(check.data.entries)} entries.</p>
            <p className="flex flex-wrap items-center gap-1 text-muted text-xs">
              Its end, to be kept elsewhere: <code className="break-all">{end}</code>
              <CopyButton text={end} label="Copy the end of the trail" variant="ghost" size="icon-sm" />
            </p>
          </div>
        ) : (
          <span className="text-muted">Whether somebody edited, removed or cut entries can be found out.</span>
        )}
        <Button size="sm" busy={check.isPending} onClick={() => check.mutate()}>
          Check the trail
        </Button>
      </Notice>
    </div>
  )
}

function ExportMenu({ filter, filtered }: { filter: AuditFilter; filtered: boolean }) {
  const write = useMutation({
    mutationFn: async (what: 'whole' | 'wanted') => {
      if (what === 'whole') {
        const lines = (await audit.whole()).map((entry) => `${JSON.stringify(entry)}\n`)
        return save('audit.ndjson', 'application/x-ndjson', lines.join(''))
      }
      const rows = (await audit.wanted(filter)).map((e) => [
        String(e.seq),
        e.at,
        e.actor,
        e.action,
        e.subject,
        e.source ?? null,
        e.detail === undefined ? null : JSON.stringify(e.detail),
        e.hash,
      ])
      save('audit.csv', 'text/csv', csvOf(['number', 'at', 'who', 'what', 'on', 'from', 'detail', 'hash'], rows))
    },
    onError: (error) => toast.error('Not exported', { description: asProblem(error).message }),
  })
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button busy={write.isPending}>
          <Download /> Export <ChevronDown />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        <MenuItem onSelect={() => write.mutate('whole')}>The whole trail, one JSON object a line</MenuItem>
        <MenuItem onSelect={() => write.mutate('wanted')}>
          {filtered ? 'What the filter shows, as CSV' : 'Everything, as CSV'}
        </MenuItem>
      </MenuContent>
    </Menu>
  )
}

function Entries({ entries }: { entries: AuditEntry[] }) {
  const [open, setOpen] = useState<number | null>(null)
  return (
    <Table aria-label="Entries">
      <thead>
        <tr>
          <Th>When</Th>
          <Th>Who</Th>
          <Th>What</Th>
          <Th>On</Th>
          <Th>Details</Th>
          <Th>From</Th>
        </tr>
      </thead>
      <tbody>
        {entries.map((e) => (
          <Fragment key={e.seq}>
            <Tr>
              <Td className="text-muted">
                <button
                  type="button"
                  className="inline-flex items-center gap-1 rounded-sm hover:text-text"
                  aria-expanded={open === e.seq}
                  aria-label={`Entry ${e.seq}`}
                  onClick={() => setOpen(open === e.seq ? null : e.seq)}
                >
                  {open === e.seq ? <ChevronDown className="size-3.5" /> : <ChevronRight className="size-3.5" />}
                </button>{' '}
                <Ago at={e.at} />
              </Td>
              <Td className="font-medium">{e.actor.replace(/^token /, '')}</Td>
              <Td className="whitespace-nowrap">{words(e.action)}</Td>
              <Td className={cn(/\/production$/.test(e.subject) && 'font-medium text-production')}>{e.subject}</Td>
              <Td className="max-w-72">
                <Details detail={e.detail} />
              </Td>
              <Td className="whitespace-nowrap font-mono text-faint text-xs">{e.source ?? '–'}</Td>
            </Tr>
            {open === e.seq && <Whole entry={e} />}
          </Fragment>
        ))}
      </tbody>
    </Table>
  )
}

/** Everything that an entry says, with what was before and after. */
function Whole({ entry }: { entry: AuditEntry }) {
  return (
    <Tr>
      <Td colSpan={6} className="bg-sunken/50">
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-xs">
          <dt className="text-faint">Number</dt>
          <dd>{entry.seq}</dd>
          <dt className="text-faint">At</dt>
          <dd>{moment(new Date(entry.at))}</dd>
          <dt className="text-faint">Action</dt>
          <dd className="font-mono">{entry.action}</dd>
          <dt className="text-faint">Hash</dt>
          <dd className="break-all font-mono">{entry.hash}</dd>
        </dl>
        <pre className="mt-2 max-h-80 overflow-auto whitespace-pre-wrap break-all font-mono text-xs">
          {JSON.stringify(entry.detail ?? {}, null, 2)}
        </pre>
      </Td>
    </Tr>
  )
}

function Details({ detail }: { detail: unknown }) {
  if (typeof detail !== 'object' || detail === null) return <span className="text-faint">–</span>
  const pairs = Object.entries(detail).filter(([, value]) => value !== '' && value !== null)
  return (
    <span className="line-clamp-2 text-muted text-xs">
      {pairs.map(([name, value], i) => (
        <Fragment key={name}>
          {i > 0 && ' · '}
          <span className="text-faint">{name}</span> {typeof value === 'object' ? JSON.stringify(value) : String(value)}
        </Fragment>
      ))}
    </span>
  )
}
