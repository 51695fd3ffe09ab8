import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Blocks, Check, Plus, RefreshCw, Search } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { api } from '@/api/client'
import { queries } from '@/api/queries'
import type { Branch, Extension } from '@/api/types'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Input } from '@/ui/field'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Tooltip } from '@/ui/tooltip'
import { useBranch } from './branch'

export function BranchExtensions() {
  const branch = useBranch()
  const [filter, setFilter] = useState('')
  const [adding, setAdding] = useState<string | null>(null)
  const client = useQueryClient()
  // A sleeping database is not woken by looking at a page.
  const asleep = branch.activity === 'asleep' || branch.activity === 'broken'
  const [wanted, setWanted] = useState(!asleep)
  const { data, error, refetch, isFetching } = useQuery({
    ...queries.extensions(branch.project, branch.name),
    enabled: wanted,
  })
  if (!wanted && !data) {
    return (
      <Panel>
        <Empty
          icon={Blocks}
          title={`${branch.name} is ${branch.activity}`}
          action={
            <Button variant="primary" onClick={() => setWanted(true)}>
              Wake it and list the extensions
            </Button>
          }
        >
          Which extensions it has is read from the database itself.
        </Empty>
      </Panel>
    )
  }
  if (error && !data) {
    return (
      <ErrorNotice error={error}>
        <Button size="sm" onClick={() => refetch()}>
          Try again
        </Button>
      </ErrorNotice>
    )
  }
  if (!data) return <Skeleton className="h-96" />
  const needle = filter.trim().toLowerCase()
  const shown = data
    .filter((e) => e.name.toLowerCase().includes(needle) || (e.comment ?? '').toLowerCase().includes(needle))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
  const add = async () => {
    if (adding === null) return
    await api.addExtension(branch.project, branch.name, adding)
    await client.invalidateQueries({ queryKey: ['extensions', branch.project, branch.name] })
    toast.success(`${adding} is in ${branch.database}`)
  }
  return (
    <Panel>
      <PanelHead
        title="Extensions"
        about={`${data.filter((e) => e.installed).length} in ${branch.database}, ${data.length} on this machine`}
      >
        <Button
          size="icon"
          variant="ghost"
          aria-label="Read the list again"
          busy={isFetching}
          onClick={() => refetch()}
        >
          {!isFetching && <RefreshCw />}
        </Button>
        <div className="relative">
          <Search
            className="pointer-events-none absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2 text-faint"
            aria-hidden
          />
          <Input
            aria-label="Find an extension"
            placeholder="Find…"
            value={filter}
            onChange={(e) => setFilter(e.target.value)}
            className="w-52 pl-8"
          />
        </div>
      </PanelHead>
      {shown.length === 0 ? (
        <Empty icon={Search} title="No such extension">
          It may not be installed on this machine: install its package for PostgreSQL {branch.postgres_major} and read
          the list again.
        </Empty>
      ) : (
        <ExtensionTable extensions={shown} onAdd={setAdding} />
      )}
      <AddDialog branch={branch} name={adding} onClose={() => setAdding(null)} onAdd={add} />
    </Panel>
  )
}

/** Installed first, then those that can be added. */
function rank(e: Extension): number {
  return e.installed ? 0 : e.allowed ? 1 : 2
}

function ExtensionTable({ extensions, onAdd }: { extensions: Extension[]; onAdd: (name: string) => void }) {
  return (
    <Table>
      <thead>
        <tr>
          <Th>Extension</Th>
          <Th>Version</Th>
          <Th>What it is</Th>
          <Th className="w-28">
            <span className="sr-only">Add</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {extensions.map((e) => (
          <Tr key={e.name}>
            <Td className="whitespace-nowrap font-medium">{e.name}</Td>
            <Td className="text-muted">{e.installed || e.version}</Td>
            <Td className="min-w-64 text-muted">{e.comment}</Td>
            <Td className="text-right">
              {e.installed ? (
                <Badge tone="ok">
                  <Check className="size-3" aria-hidden /> added
                </Badge>
              ) : e.allowed ? (
                <Button size="sm" aria-label={`Add ${e.name}`} onClick={() => onAdd(e.name)}>
                  <Plus /> Add
                </Button>
              ) : (
                <Tooltip text="It could reach files, programs or servers outside this database.">
                  <span>
                    <Badge>not allowed</Badge>
                  </span>
                </Tooltip>
              )}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}

type AddProps = { branch: Branch; name: string | null; onClose: () => void; onAdd: () => Promise<void> }

function AddDialog({ branch, name, onClose, onAdd }: AddProps) {
  return (
    <Confirm
      open={name !== null}
      onOpenChange={(open) => !open && onClose()}
      title={`Add ${name ?? ''} to ${branch.database}?`}
      action="Add extension"
      production={branch.environment === 'production'}
      onConfirm={onAdd}
    >
      <code className="text-xs">CREATE EXTENSION</code> is run in the main database of {branch.project}/{branch.name},
      with what it needs.
    </Confirm>
  )
}
