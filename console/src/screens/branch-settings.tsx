import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { RotateCcw, Search } from 'lucide-react'
import { useMemo, useState } from 'react'
import { toast } from 'sonner'
import { api } from '@/api/client'
import { queries, useBranchUpdate } from '@/api/queries'
import type { Branch, Parameter, Settings } from '@/api/types'
import { duration } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { changeOf, type Draft, draftOf, staged } from '@/lib/settings-draft'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { Confirm } from '@/ui/confirm'
import { Field, Input, Select } from '@/ui/field'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { useBranch } from './branch'
import { RemovalDialog } from './removal-dialog'

export function BranchSettings() {
  const branch = useBranch()
  const { data, error } = useQuery(queries.settings(branch.project, branch.name))
  if (error && !data) return <ErrorNotice error={error} />
  if (!data) return <Skeleton className="h-96" />
  return <Editor branch={branch} settings={data} />
}

/** Changes are staged in amber and saved together: all of them, or, when the server refuses one, none. */
function Editor({ branch, settings }: { branch: Branch; settings: Settings }) {
  const [draft, setDraft] = useState<Draft>({})
  const [asking, setAsking] = useState(false)
  const update = useBranchUpdate()
  const client = useQueryClient()
  const current = useMemo(() => draftOf(settings, draft), [settings, draft])
  const changes = staged(settings, draft)
  const save = useMutation({
    mutationFn: () => api.changeSettings(branch.project, branch.name, changeOf(settings, draft)),
    onSuccess: async (after) => {
      update(after)
      await client.invalidateQueries({ queryKey: ['settings', branch.project, branch.name] })
      setDraft({})
      toast.success('Saved', {
        description: after.needs_restart ? 'Some of it takes effect at the next start of the server.' : undefined,
      })
    },
  })
  const set = (change: Draft) => {
    save.reset()
    setDraft({ ...draft, ...change, parameters: { ...draft.parameters, ...change.parameters } })
  }
  const production = branch.environment === 'production'
  return (
    <div className="flex flex-col gap-5 pb-20">
      <Panel>
        <PanelHead title="Sleep, connections and history" />
        <div className="grid gap-5 p-4 sm:grid-cols-2 lg:grid-cols-3">
          <IdleTime
            value={current.idle}
            changed={changes.includes('idle_timeout_seconds')}
            onChange={(idle) => set({ idle })}
          />
          <Field label="Connection limit" hint="How many sessions the front door admits at once, 1 to 1000.">
            {(ids) => (
              <Input
                {...ids}
                inputMode="numeric"
                value={current.connections}
                onChange={(e) => set({ connections: e.target.value.replace(/\D/g, '') })}
                className={cn('max-w-40', changes.includes('connection_limit') && stagedStyle)}
              />
            )}
          </Field>
          <HistoryWindow
            value={current.window}
            changed={changes.includes('history_window_seconds')}
            onChange={(window) => set({ window })}
          />
        </div>
      </Panel>
      <Parameters settings={settings} draft={draft} onChange={(parameters) => set({ parameters })} />
      <RemoveBranch branch={branch} />
      {changes.length > 0 && (
        <div className="fixed inset-x-3 bottom-4 z-20 mx-auto flex max-w-2xl flex-col gap-3 rounded-xl border border-warn/40 bg-raised p-3 shadow-float md:left-60">
          {save.error && !asking && <ErrorNotice error={save.error} />}
          <div className="flex flex-wrap items-center justify-between gap-2">
            <p className="flex items-center gap-2 text-sm">
              <span className="size-2 rounded-full bg-warn" aria-hidden />
              {changes.length === 1 ? 'One change' : `${changes.length} changes`} not saved
            </p>
            <div className="flex gap-2">
              <Button
                onClick={() => {
                  save.reset()
                  setDraft({})
                }}
              >
                Discard
              </Button>
              <Button
                variant={production ? 'danger' : 'primary'}
                busy={save.isPending}
                onClick={() => (production ? setAsking(true) : save.mutate())}
              >
                Save {changes.length === 1 ? 'one change' : `${changes.length} changes`}
                {production && ' to production…'}
              </Button>
            </div>
          </div>
        </div>
      )}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        production
        title={`Change ${branch.project}/${branch.name}?`}
        action="Save"
        onConfirm={() => save.mutateAsync()}
      >
        <ul className="mt-1 list-disc pl-5">
          {changes.map((name) => (
            <li key={name}>
              <code className="text-xs">{name}</code>
            </li>
          ))}
        </ul>
      </Confirm>
    </div>
  )
}

const stagedStyle = 'border-warn bg-warn-soft focus-visible:border-warn focus-visible:ring-warn/20'

const idleTimes = [60, 300, 900, 3600, 28800, 86400, 604800]
const idleNames: Record<string, string> = {
  '60': '1 minute',
  '300': '5 minutes',
  '900': '15 minutes',
  '3600': '1 hour',
  '28800': '8 hours',
  '86400': '1 day',
  '604800': '7 days',
  '-1': 'never',
}

function IdleTime({
  value,
  changed,
  onChange,
}: {
  value: number
  changed: boolean
  onChange: (seconds: number) => void
}) {
  const known = [...new Set([...idleTimes, value])].filter((n) => n > 0).sort((a, b) => a - b)
  return (
    <Field label="Falls asleep after" hint="Without a byte from a client, a running query or an open transaction.">
      {(ids) => (
        <Select
          id={ids.id}
          value={String(value)}
          onValueChange={(v) => onChange(Number(v))}
          className={cn('max-w-52', changed && stagedStyle)}
          options={[...known, -1].map((n) => ({ value: String(n), label: idleNames[n] ?? `${n} seconds` }))}
        />
      )}
    </Field>
  )
}

const windows = [21600, 86400, 172800, 604800, 1209600, 2592000, 3024000]

function HistoryWindow({
  value,
  changed,
  onChange,
}: {
  value: number
  changed: boolean
  onChange: (seconds: number) => void
}) {
  const known = [...new Set([...windows, value])].sort((a, b) => a - b)
  return (
    <Field label="History reaches back" hint="Every moment of that time can be restored. More takes more space.">
      {(ids) => (
        <Select
          id={ids.id}
          value={String(value)}
          onValueChange={(v) => onChange(Number(v))}
          className={cn('max-w-52', changed && stagedStyle)}
          options={known.map((n) => ({ value: String(n), label: duration(n) }))}
        />
      )}
    </Field>
  )
}

/** The way to remove a preview from here; development and production go with their project. */
function RemoveBranch({ branch }: { branch: Branch }) {
  const navigate = useNavigate()
  const rights = useRights(branch.project)
  const [asking, setAsking] = useState(false)
  if (branch.environment !== 'preview') {
    if (!rights.admin) return null
    return (
      <Panel>
        <PanelHead title="Remove database" about="Development and production are removed with their project.">
          <Button asChild>
            <Link to="/projects/$project/settings" params={{ project: branch.project }}>
              Settings of {branch.project}
            </Link>
          </Button>
        </PanelHead>
      </Panel>
    )
  }
  if (!rights.write) return null
  return (
    <Panel>
      <PanelHead title="Remove database" about="It can be brought back for seven days.">
        <Button variant="danger" onClick={() => setAsking(true)}>
          Remove database…
        </Button>
      </PanelHead>
      {asking && (
        <RemovalDialog
          project={branch.project}
          branch={branch}
          onClose={() => setAsking(false)}
          onWork={(job) => navigate({ to: '/jobs/$id', params: { id: job.id } })}
        />
      )}
    </Panel>
  )
}

type ParametersProps = {
  settings: Settings
  draft: Draft
  onChange: (parameters: Record<string, string | null>) => void
}

function Parameters({ settings, draft, onChange }: ParametersProps) {
  const [filter, setFilter] = useState('')
  const [own, setOwn] = useState(false)
  const shown = settings.parameters.filter(
    (p) => p.name.includes(filter.trim().toLowerCase()) && (!own || p.changed || p.name in (draft.parameters ?? {})),
  )
  return (
    <Panel>
      <PanelHead
        title="PostgreSQL parameters"
        about="The profile of the environment, and what was set on this branch over it."
      >
        <Button
          size="sm"
          aria-pressed={own}
          onClick={() => setOwn(!own)}
          className={cn(own && 'border-accent text-accent')}
        >
          Only changed
        </Button>
        <div className="relative">
          <Search
            className="pointer-events-none absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2 text-faint"
            aria-hidden
          />
          <Input
            aria-label="Find a parameter"
            placeholder="Find…"
            value={filter}
            onChange={(e) => setFilter(e.target.value)}
            className="w-44 pl-8"
          />
        </div>
      </PanelHead>
      {shown.length === 0 ? (
        <Empty icon={Search} title="No such parameter">
          {own
            ? 'Nothing was set on this branch: everything is as its profile says.'
            : 'What is not listed can be set with SQL: ALTER ROLE or ALTER DATABASE.'}
        </Empty>
      ) : (
        <Table>
          <thead className="max-sm:sr-only">
            <tr>
              <Th>Parameter</Th>
              <Th className="w-1/3 min-w-52">Value</Th>
              <Th>Profile</Th>
              <Th>
                <span className="sr-only">Return to the profile</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {shown.map((p) => (
              <ParameterRow
                key={p.name}
                parameter={p}
                draft={draft.parameters?.[p.name]}
                onChange={(value) => onChange({ [p.name]: value })}
              />
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}

type RowProps = { parameter: Parameter; draft: string | null | undefined; onChange: (value: string | null) => void }

function ParameterRow({ parameter: p, draft, onChange }: RowProps) {
  const value = draft === undefined ? (p.value ?? '') : (draft ?? p.profile ?? '')
  const isStaged = draft !== undefined && !(draft === null ? !p.changed : draft === (p.value ?? ''))
  const own = draft === undefined ? p.changed : draft !== null && draft !== (p.profile ?? '')
  return (
    <Tr className="max-sm:flex max-sm:flex-wrap max-sm:items-center max-sm:border-line max-sm:border-b max-sm:[&>td]:h-auto max-sm:[&>td]:border-0">
      <Td className="max-sm:w-full max-sm:pr-4 max-sm:pb-0">
        <code className="text-xs">{p.name}</code>
        {own && (
          <Badge tone={isStaged ? 'warn' : 'accent'} className="ml-2">
            own
          </Badge>
        )}
      </Td>
      <Td className="max-sm:flex-1 max-sm:pl-4">
        {p.settable ? (
          <Input
            aria-label={p.name}
            value={value}
            placeholder="PostgreSQL’s default"
            onChange={(e) => onChange(e.target.value === '' ? null : e.target.value)}
            className={cn('h-7 font-mono text-xs', isStaged && stagedStyle)}
          />
        ) : (
          <span className="font-mono text-muted text-xs">{p.value}</span>
        )}
      </Td>
      <Td className="font-mono text-faint text-xs">{p.profile ?? '–'}</Td>
      <Td className="text-right">
        {p.settable && own && (
          <Button
            variant="ghost"
            size="icon-sm"
            aria-label={`Return ${p.name} to its profile`}
            onClick={() => onChange(null)}
          >
            <RotateCcw />
          </Button>
        )}
      </Td>
    </Tr>
  )
}
