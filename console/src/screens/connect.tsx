import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Eye, EyeOff, RefreshCw } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { api } from '@/api/client'
import { queries } from '@/api/queries'
import type { Connection } from '@/api/types'
import type { BranchRef } from '@/app/connect-context'
import { masked, snippets } from '@/lib/connect'
import { Button } from '@/ui/button'
import { Confirm, ProductionBar } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Sheet } from '@/ui/dialog'
import { EnvironmentBadge } from '@/ui/environment'
import { ErrorNotice, Skeleton } from '@/ui/pieces'
import { Tab, TabContent, TabList, Tabs } from '@/ui/tabs'

/** How to connect to a branch, for every tool that people use. The password is covered until it is asked for. */
export function ConnectSheet({ branch, onClose }: { branch: BranchRef | null; onClose: () => void }) {
  return (
    <Sheet
      open={branch !== null}
      onOpenChange={(open) => !open && onClose()}
      banner={branch?.environment === 'production' ? <ProductionBar /> : undefined}
      title={
        <span className="flex items-center gap-2">
          Connect to {branch?.project} {branch && <EnvironmentBadge environment={branch.environment} />}
        </span>
      }
      description="Connecting wakes the database. Connections are encrypted."
    >
      {branch && <Ways key={`${branch.project}/${branch.name}`} branch={branch} />}
    </Sheet>
  )
}

function Ways({ branch }: { branch: BranchRef }) {
  const connection = useQuery(queries.connection(branch.project, branch.name))
  if (connection.error && !connection.data) return <ErrorNotice error={connection.error} />
  if (!connection.data) {
    return (
      <div className="flex flex-col gap-4">
        <Skeleton className="h-9" />
        <Skeleton className="h-28" />
      </div>
    )
  }
  return <Loaded branch={branch} connection={connection.data} />
}

function Loaded({ branch, connection }: { branch: BranchRef; connection: Connection }) {
  const [shown, setShown] = useState(false)
  const real = snippets(connection)
  const visible = snippets(shown ? connection : masked(connection))
  return (
    <>
      <Tabs defaultValue="psql">
        <TabList aria-label="Ways to connect">
          {real.map((s) => (
            <Tab key={s.id} value={s.id}>
              {s.label}
            </Tab>
          ))}
        </TabList>
        {real.map((s, i) => {
          const text = visible[i]?.text ?? ''
          return (
            <TabContent key={s.id} value={s.id} className="mt-4 outline-none">
              <div className="overflow-hidden rounded-lg border border-line">
                <div className="flex items-center justify-between gap-2 border-line border-b bg-sunken/60 py-1 pr-1 pl-3">
                  <span className="min-w-0 truncate text-muted text-xs">{s.file}</span>
                  <CopyButton text={s.text} variant="ghost" label={`Copy for ${s.label}`}>
                    Copy
                  </CopyButton>
                </div>
                <pre className="max-h-[45vh] overflow-auto whitespace-pre-wrap [overflow-wrap:anywhere] bg-sunken px-3 py-2.5 text-xs leading-5">
                  {text}
                </pre>
              </div>
              {!s.text.includes(connection.password) && (
                <p className="mt-2 text-faint text-xs">
                  Reads the connection from the environment; put the .env tab beside it.
                </p>
              )}
            </TabContent>
          )
        })}
      </Tabs>
      <Parts connection={connection} shown={shown} onShow={() => setShown(!shown)} />
      <Rotate branch={branch} user={connection.user} />
    </>
  )
}

function Parts({ connection, shown, onShow }: { connection: Connection; shown: boolean; onShow: () => void }) {
  const parts: [string, string][] = [
    ['Host', connection.host],
    ['Port', String(connection.port)],
    ['Database', connection.database],
    ['User', connection.user],
  ]
  return (
    <dl className="mt-5 divide-y divide-line rounded-lg border border-line">
      {parts.map(([name, value]) => (
        <div key={name} className="flex h-9 items-center gap-3 pr-1 pl-3">
          <dt className="w-20 shrink-0 text-muted text-xs">{name}</dt>
          <dd className="min-w-0 flex-1 truncate font-mono text-xs">{value}</dd>
          <CopyButton text={value} variant="ghost" size="icon-sm" label={`Copy the ${name.toLowerCase()}`} />
        </div>
      ))}
      <div className="flex min-h-9 items-center gap-3 pr-1 pl-3">
        <dt className="w-20 shrink-0 text-muted text-xs">Password</dt>
        <dd className="min-w-0 flex-1 truncate font-mono text-xs" data-testid="password">
          {shown ? connection.password : masked(connection).password}
        </dd>
        <Button
          variant="ghost"
          size="icon-sm"
          aria-label={shown ? 'Hide the password' : 'Show the password'}
          aria-pressed={shown}
          onClick={onShow}
        >
          {shown ? <EyeOff /> : <Eye />}
        </Button>
        <CopyButton text={connection.password} variant="ghost" size="icon-sm" label="Copy the password" />
      </div>
    </dl>
  )
}

function Rotate({ branch, user }: { branch: BranchRef; user: string }) {
  const [asking, setAsking] = useState(false)
  const client = useQueryClient()
  const rotate = async () => {
    const fresh = await api.rotate(branch.project, branch.name)
    client.setQueryData(queries.connection(branch.project, branch.name).queryKey, fresh)
    toast.success('The password is a new one', { description: `${user} on ${branch.project}/${branch.name}` })
  }
  return (
    <div className="mt-5 flex flex-wrap items-center justify-between gap-3">
      <p className="max-w-xs text-faint text-xs">A new password takes effect at once. Sessions that are open go on.</p>
      <Button size="sm" onClick={() => setAsking(true)}>
        <RefreshCw /> Rotate the password…
      </Button>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Give ${user} a new password?`}
        action="Rotate the password"
        danger
        production={branch.environment === 'production'}
        onConfirm={rotate}
      >
        Programs that use the old password on{' '}
        <strong>
          {branch.project}/{branch.name}
        </strong>{' '}
        cannot connect any more until they are given the new one.
      </Confirm>
    </div>
  )
}
