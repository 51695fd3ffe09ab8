import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import {
  CalendarClock,
  CornerDownRight,
  Ellipsis,
  GitBranch,
  Pencil,
  Plus,
  RotateCcw,
  Shield,
  Trash2,
} from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { branches as api } from '@/api/branches'
import { asProblem } from '@/api/problem'
import { queries, useBranchUpdate } from '@/api/queries'
import { branchOf } from '@/api/sql'
import type { Branch } from '@/api/types'
import { branchTree } from '@/lib/branch-tree'
import { size } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { ActivityMark, EnvironmentBadge, EnvironmentDot } from '@/ui/environment'
import { Menu, MenuContent, MenuItem, MenuLine, MenuTrigger } from '@/ui/menu'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { ExpiryDialog, NewBranchDialog, RenameDialog } from './branch-dialogs'
import { JobDialog } from './job-dialog'
import { PageHead } from './page'
import { RemovalDialog } from './removal-dialog'

type Work = { id: string; title: string }

/** All branches of a project, each below what it was copied from. */
export function BranchesScreen() {
  const name = useParams({ from: '/inside/projects/$project/branches' }).project
  const { data: project, error } = useQuery(queries.project(name))
  const rights = useRights(name)
  const [creating, setCreating] = useState(false)
  const [work, setWork] = useState<Work | null>(null)
  const client = useQueryClient()
  const nodes = branchTree(project?.branches ?? [])
  const refresh = () => client.invalidateQueries({ queryKey: ['project', name] })
  const follow = (id: string, title: string) => {
    setWork({ id, title })
    refresh()
  }
  return (
    <>
      <PageHead
        name={`Branches · ${name}`}
        title="Branches"
        about="Each is a copy with an address and credentials of its own. What is done to one leaves the others alone."
      >
        {rights.write && (
          <Button variant="primary" onClick={() => setCreating(true)}>
            <Plus /> New branch
          </Button>
        )}
      </PageHead>
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!project && !error && <Skeleton className="h-60" />}
      {project && (
        <Panel>
          <PanelHead title={`${nodes.length} branches`} />
          <Table aria-label="Branches">
            <thead>
              <tr>
                <Th>Branch</Th>
                <Th>State</Th>
                <Th>Data</Th>
                <Th className="text-right">Size</Th>
                <Th>Expires</Th>
                <Th>
                  <span className="sr-only">Actions</span>
                </Th>
              </tr>
            </thead>
            <tbody>
              {nodes.map(({ branch, depth }) => (
                <BranchRow key={branch.id} branch={branch} depth={depth} all={project.branches} onWork={follow} />
              ))}
            </tbody>
          </Table>
          {nodes.every((n) => n.branch.environment !== 'preview') && (
            <Empty icon={GitBranch} title="No previews">
              A preview is a copy of a branch, now or at a moment of its past, to try something out. It costs little
              space and goes by itself.
            </Empty>
          )}
        </Panel>
      )}
      {creating && project && (
        <NewBranchDialog
          branches={project.branches}
          project={name}
          onClose={() => setCreating(false)}
          onCreated={(id, made) => {
            setCreating(false)
            follow(id, `Making ${made}`)
          }}
        />
      )}
      <JobDialog
        id={work?.id ?? null}
        title={work?.title ?? ''}
        onClose={() => setWork(null)}
        onEnd={(job) => {
          refresh()
          if (job.kind === 'create_branch') toast.success(`${branchOf(job)} is ready`)
          setWork(null)
        }}
      />
    </>
  )
}

type RowProps = { branch: Branch; depth: number; all: Branch[]; onWork: (id: string, title: string) => void }

function BranchRow({ branch: b, depth, all, onWork }: RowProps) {
  return (
    <Tr>
      <Td>
        <span className="flex items-center gap-2" style={{ paddingLeft: depth * 20 }}>
          {depth > 0 && <CornerDownRight className="size-3.5 text-faint" aria-hidden />}
          <EnvironmentDot environment={b.environment} />
          <Link
            to="/projects/$project/branches/$branch"
            params={{ project: b.project, branch: b.name }}
            className="font-medium hover:underline"
          >
            {b.name}
          </Link>
          {b.name !== b.environment && <EnvironmentBadge environment={b.environment} />}
          {b.protected && <Badge>protected</Badge>}
        </span>
      </Td>
      <Td className="text-muted">
        <ActivityMark activity={b.activity} />
      </Td>
      <Td className="text-muted">{dataOf(b)}</Td>
      <Td className="text-right">{size(b.size_bytes)}</Td>
      <Td className="text-muted">{b.expires_at ? <Ago at={b.expires_at} /> : 'never'}</Td>
      <Td className="text-right">
        <BranchMenu branch={b} all={all} onWork={onWork} />
      </Td>
    </Tr>
  )
}

function dataOf(b: Branch): string {
  if (b.look) return 'a moment, read-only'
  if (b.schema_only) return 'schema only'
  if (b.masked) return 'masked'
  return 'all'
}

type Question = 'expire' | 'rename' | 'reset' | 'delete' | null

function BranchMenu({ branch: b, all, onWork }: Omit<RowProps, 'depth'>) {
  const [question, ask] = useState<Question>(null)
  const rights = useRights(b.project)
  const update = useBranchUpdate()
  const preview = b.environment === 'preview'
  const parent = all.find((p) => p.id === b.parent_id)
  if (!rights.write) return null
  const protect = async () => {
    try {
      update(await api.change(b, { protected: !b.protected }))
    } catch (thrown) {
      const problem = asProblem(thrown)
      toast.error(problem.message, { description: problem.hint })
    }
  }
  const close = () => ask(null)
  return (
    <>
      <Menu>
        <MenuTrigger asChild>
          <Button variant="ghost" size="icon-sm" aria-label={`Actions for ${b.name}`}>
            <Ellipsis />
          </Button>
        </MenuTrigger>
        <MenuContent align="end">
          <MenuItem onSelect={protect}>
            <Shield /> {b.protected ? 'Take the protection away' : 'Protect'}
          </MenuItem>
          {preview && (
            <>
              <MenuItem onSelect={() => ask('expire')}>
                <CalendarClock /> Change when it expires…
              </MenuItem>
              <MenuItem onSelect={() => ask('rename')}>
                <Pencil /> Rename…
              </MenuItem>
              <MenuItem onSelect={() => ask('reset')} disabled={!parent}>
                <RotateCcw /> Reset to {parent?.name ?? 'its parent'}…
              </MenuItem>
              <MenuLine />
              <MenuItem danger onSelect={() => ask('delete')}>
                <Trash2 /> Remove…
              </MenuItem>
            </>
          )}
        </MenuContent>
      </Menu>
      {question === 'expire' && <ExpiryDialog branch={b} onClose={close} />}
      {question === 'rename' && <RenameDialog branch={b} onClose={close} onWork={onWork} />}
      <Confirm
        open={question === 'reset'}
        onOpenChange={close}
        title={`Reset ${b.name} to ${parent?.name}?`}
        action="Reset"
        danger
        onConfirm={async () => {
          onWork((await api.reset(b)).id, `Resetting ${b.name}`)
        }}
      >
        It gets the data that {parent?.name} has now, and keeps its name and credentials. What it has now is kept for
        seven days; “Undo the newest restore” in its history puts it back.
      </Confirm>
      {question === 'delete' && (
        <RemovalDialog project={b.project} branch={b} onClose={close} onWork={(job, title) => onWork(job.id, title)} />
      )}
    </>
  )
}
