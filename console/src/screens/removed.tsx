import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Trash2, Undo2 } from 'lucide-react'
import { toast } from 'sonner'
import { removals as api, type Removed } from '@/api/removal'
import { countdown } from '@/lib/format'
import { Button } from '@/ui/button'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton, useNow } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { PageHead } from './page'

/** What was removed, how long it is still kept, and the way back. */
export function RemovedScreen() {
  const client = useQueryClient()
  const { data, error } = useQuery({
    queryKey: ['removed'],
    queryFn: ({ signal }) => api.all(signal),
    refetchInterval: 10_000,
  })
  const back = useMutation({
    mutationFn: (r: Removed) => api.bringBack(r),
    onSuccess: (_, r) => {
      client.invalidateQueries({ queryKey: ['removed'] })
      client.invalidateQueries({ queryKey: ['projects'] })
      client.invalidateQueries({ queryKey: ['project', r.project] })
      toast.success(`${r.name} is back`, { description: 'With its data, name, credentials and history.' })
    },
  })
  return (
    <>
      <PageHead
        name="Removed"
        title="Removed"
        about="What was removed is kept for seven days and comes back whole. Backups stay longer, under their own rules."
      />
      {error && <ErrorNotice error={error} className="mb-4" />}
      {back.error && <ErrorNotice error={back.error} className="mb-4" />}
      <Panel>
        {!data && !error && <Skeleton className="m-4 h-32" />}
        {data?.length === 0 && (
          <Empty icon={Trash2} title="Nothing is kept here">
            A project or branch that is removed waits here for seven days, in case it was a mistake.
          </Empty>
        )}
        {data && data.length > 0 && (
          <Table aria-label="Removed">
            <thead>
              <tr>
                <Th>Name</Th>
                <Th>What</Th>
                <Th>Removed</Th>
                <Th>Gone for good in</Th>
                <Th>
                  <span className="sr-only">Actions</span>
                </Th>
              </tr>
            </thead>
            <tbody>
              {data.map((r) => (
                <Tr key={`${r.name} ${r.deleted_at}`}>
                  <Td className="font-medium">{r.name}</Td>
                  <Td>{r.branch ? <Badge tone="preview">branch</Badge> : <Badge tone="production">project</Badge>}</Td>
                  <Td className="text-muted">
                    <Ago at={r.deleted_at} />
                  </Td>
                  <Td className="whitespace-nowrap">
                    <Countdown until={r.purge_at} />
                  </Td>
                  <Td className="text-right">
                    <Button
                      aria-label={`Bring ${r.name} back`}
                      busy={back.isPending && back.variables?.name === r.name}
                      onClick={() => back.mutate(r)}
                    >
                      <Undo2 /> Bring back
                    </Button>
                  </Td>
                </Tr>
              ))}
            </tbody>
          </Table>
        )}
      </Panel>
      <p className="mt-3 text-muted text-sm">
        What is no longer here may still be in a{' '}
        <Link to="/admin/backups" className="text-accent hover:underline">
          backup
        </Link>
        .
      </p>
    </>
  )
}

function Countdown({ until }: { until: string }) {
  const now = useNow(1)
  const left = Math.max(0, (new Date(until).getTime() - now.getTime()) / 1000)
  return (
    <time dateTime={until} className={left < 86400 ? 'text-production' : ''}>
      {countdown(left)}
    </time>
  )
}
