import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { FolderSync, HardDrive, MapPin, Plus, ShieldCheck, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { locations as api, type BackupHealth, backups, type Location } from '@/api/backups'
import { queries } from '@/api/queries'
import type { Branch } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { count } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Select } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Notice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { BackupHead } from './backup-frame'
import { FolderDialog, LocationDialog } from './destination-dialogs'

/** Where the history and the backups of a project lie, and whether that is enough. */
export function DestinationsScreen() {
  const navigate = useNavigate()
  const search = useSearch({ from: '/inside/admin/backups/destinations' })
  const { data: projects, error } = useQuery(queries.projects())
  const project = projects?.find((p) => p.name === search.project) ?? projects?.[0]
  return (
    <>
      <BackupHead name="Destinations" />
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!projects && !error && <Skeleton className="h-48" />}
      {projects?.length === 0 && (
        <Empty icon={MapPin} title="There is no project yet">
          Destinations belong to a project.
        </Empty>
      )}
      {projects && project && (
        <>
          <Select
            aria-label="Destinations of"
            className="mb-4 w-64 max-w-full"
            value={project.name}
            onValueChange={(name) => navigate({ to: '/admin/backups/destinations', search: { project: name } })}
            options={projects.map((p) => ({ value: p.name, label: p.name }))}
          />
          <div key={project.id} className="flex flex-col gap-5">
            <Locations project={project.name} />
            {byImportance(project.branches.filter((b) => b.environment !== 'preview')).map((b) => (
              <Health key={b.id} branch={b} />
            ))}
          </div>
        </>
      )}
    </>
  )
}

const folderKey = 'export folder'

function Locations({ project }: { project: string }) {
  const client = useQueryClient()
  const may = useRights(project).admin
  const { data, error } = useQuery({
    queryKey: ['locations', project],
    queryFn: ({ signal }) => api.of(project, signal),
  })
  const [adding, setAdding] = useState<'location' | 'folder' | null>(null)
  const [going, setGoing] = useState<Location | null>(null)
  const again = () => {
    client.invalidateQueries({ queryKey: ['locations', project] })
    client.invalidateQueries({ queryKey: ['backup-health', project] })
  }
  return (
    <Panel>
      <PanelHead title="Locations" about="Each has the whole history and every backup of the project.">
        {may && (
          <>
            <Button onClick={() => setAdding('folder')}>
              <FolderSync /> Export folder…
            </Button>
            <Button variant="primary" onClick={() => setAdding('location')}>
              <Plus /> Add a location
            </Button>
          </>
        )}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-24" />}
      {data?.every(isOwn) && (
        <div className="p-3">
          <Notice tone="warn" icon={HardDrive}>
            <span>Only this machine has them: they are lost with its disk. Add a bucket, or a folder elsewhere.</span>
          </Notice>
        </div>
      )}
      {data && data.length > 0 && (
        <Table aria-label="Locations">
          <thead>
            <tr>
              <Th>Location</Th>
              <Th>Kind</Th>
              <Th>Where</Th>
              <Th>Encrypted</Th>
              <Th>
                <span className="sr-only">Actions</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {data.map((l) => (
              <Tr key={l.name}>
                <Td className="font-medium">{l.name}</Td>
                <Td className="text-muted">{l.kind === 's3' ? 'S3' : 'Folder'}</Td>
                <Td className="font-mono text-xs">{whereOf(l)}</Td>
                <Td>
                  {l.encrypt ? <Badge tone="ok">encrypted</Badge> : <span className="text-faint">no</span>}
                  {l.lock_days ? <Badge className="ml-1">locked for {count(l.lock_days)} days</Badge> : null}
                </Td>
                <Td className="text-right">
                  {may && !isOwn(l) && (
                    <Button size="sm" aria-label={`Forget ${l.name}`} onClick={() => setGoing(l)}>
                      Forget…
                    </Button>
                  )}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {adding === 'location' && <LocationDialog project={project} onClose={() => setAdding(null)} again={again} />}
      {adding === 'folder' && <FolderDialog project={project} onClose={() => setAdding(null)} again={again} />}
      <Confirm
        open={going !== null}
        onOpenChange={(o) => !o && setGoing(null)}
        title={`Forget ${going?.name}?`}
        action="Forget"
        danger
        typed={going?.name}
        onConfirm={async () => {
          await api.remove(project, going?.name ?? '')
          again()
        }}
      >
        Nothing more is written to it and nothing read from it. What lies there stays.
      </Confirm>
    </Panel>
  )
}

/** Whether it is the repository in the data directory, which a project has that was given no place. */
function isOwn(l: Location): boolean {
  return l.kind === 'folder' && l.name === 'local'
}

function whereOf(l: Location): string {
  if (l.kind === 'folder') return l.folder ?? ''
  return [l.endpoint, l.bucket, l.prefix].filter(Boolean).join('/')
}

/** How one branch stands: two copies of each backup on two media, one of them elsewhere, and a restore that was proved. */
function Health({ branch }: { branch: Branch }) {
  const { data: h, error } = useQuery(healthOf(branch))
  const production = branch.environment === 'production'
  return (
    <Panel aria-label={`Backups of ${branch.name}`}>
      <PanelHead
        title={<span className={production ? 'text-production capitalize' : 'capitalize'}>{branch.name}</span>}
        about="Three copies, at two places, one of them off this machine: the data itself is the first."
      >
        {h &&
          (h.protected ? (
            <Badge tone="ok">
              <ShieldCheck className="size-3" aria-hidden /> Protected
            </Badge>
          ) : (
            <Badge tone={production ? 'production' : 'warn'}>
              <TriangleAlert className="size-3" aria-hidden /> Not protected
            </Badge>
          ))}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      {!h && !error && <Skeleton className="m-4 h-20" />}
      {h && <Places health={h} />}
    </Panel>
  )
}

function Places({ health: h }: { health: BackupHealth }) {
  const places = h.places ?? []
  const elsewhere = places.some((p) => p.offsite && p.copies > 0)
  return (
    <>
      <div className="flex flex-col gap-2 p-3 empty:hidden">
        {(h.alerts ?? []).map((a) => (
          <Notice key={a} tone="warn" icon={TriangleAlert}>
            <span>{a}</span>
          </Notice>
        ))}
      </div>
      <p className="flex flex-wrap gap-2 px-4 pb-3 text-sm">
        <Rule kept={places.filter((p) => p.copies > 0).length >= 2}>Three copies</Rule>
        <Rule kept={new Set(places.filter((p) => p.copies > 0).map((p) => p.name)).size >= 2}>Two places</Rule>
        <Rule kept={elsewhere}>One elsewhere</Rule>
        <Rule kept={Boolean(h.last_verified)}>
          {h.last_verified?.verified_at ? (
            <>
              Proved <Ago at={h.last_verified.verified_at} />
            </>
          ) : (
            'Never proved'
          )}
        </Rule>
        {h.held > 0 && <Badge tone="warn">{h.held} held</Badge>}
      </p>
      <Table>
        <thead>
          <tr>
            <Th>Place</Th>
            <Th>Kind</Th>
            <Th className="text-right">Good backups</Th>
            <Th>Newest</Th>
            <Th>Last sync</Th>
          </tr>
        </thead>
        <tbody>
          {places.map((p) => (
            <Tr key={p.name}>
              <Td className="font-medium">
                {p.name} {p.offsite && <Badge className="ml-1">elsewhere</Badge>}
                {p.mounted === false && (
                  <Badge tone="warn" className="ml-1">
                    not there now
                  </Badge>
                )}
              </Td>
              <Td className="text-muted">{p.kind}</Td>
              <Td className="text-right">{p.copies}</Td>
              <Td className="text-muted">{p.newest ? <Ago at={p.newest} /> : '–'}</Td>
              <Td className="text-muted">
                {p.last_sync ? <Ago at={p.last_sync} /> : p.kind === folderKey ? 'never' : 'at once'}
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </>
  )
}

function Rule({ kept, children }: { kept: boolean; children: React.ReactNode }) {
  return (
    <Badge tone={kept ? 'ok' : 'warn'}>
      <span aria-hidden>{kept ? '✓' : '✗'}</span>
      <span className="sr-only">{kept ? 'kept: ' : 'not kept: '}</span>
      {children}
    </Badge>
  )
}

/** How a branch stands with its backups; asked for again and again. */
export function healthOf(branch: Branch) {
  return {
    queryKey: ['backup-health', branch.project, branch.id],
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      backups.health({ project: branch.project, branch: branch.name }, signal),
    refetchInterval: 15_000,
  }
}
