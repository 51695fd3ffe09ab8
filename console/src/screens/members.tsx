import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { MailPlus, Trash2, UserPlus, Users } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { members as api, type Link, type Member, type Role, roles } from '@/api/people'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Checkbox, Select } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Invitations } from './invitations'
import { PageHead } from './page'
import { AddMemberDialog, InviteDialog, LinkDialog } from './people-dialogs'

/** Who has a role in a project, and the links by which others come in. */
export function MembersScreen() {
  const { project } = useParams({ from: '/inside/projects/$project/members' })
  const rights = useRights(project)
  const may = rights.admin && !rights.agent
  const client = useQueryClient()
  const key = ['members', project]
  const { data, error } = useQuery({ queryKey: key, queryFn: ({ signal }) => api.of(project, signal) })
  const links = useQuery({
    queryKey: [...key, 'invitations'],
    queryFn: ({ signal }) => api.invitations(project, signal),
    enabled: may,
  })
  const [doing, setDoing] = useState<'add' | 'invite' | Link | null>(null)
  const [going, setGoing] = useState<Member | null>(null)
  const [problem, setProblem] = useState<unknown>(null)
  const again = () => client.invalidateQueries({ queryKey: key })
  const change = (m: Member, next: { role?: Role; production_rows?: boolean }) => {
    setProblem(null)
    api
      .set(project, m.name, { role: m.role, production_rows: m.production_rows, ...next })
      .then(() => {
        toast.success('The role is changed', { description: m.name })
        return client.invalidateQueries({ queryKey: ['account'] })
      }, setProblem)
      .finally(again)
  }
  const failed = error ?? links.error ?? problem
  return (
    <>
      <PageHead name={`Members · ${project}`} title="Members" about={`Who may do what in ${project}.`}>
        {may && (
          <>
            <Button onClick={() => setDoing('add')}>
              <UserPlus /> Add a member
            </Button>
            <Button variant="primary" onClick={() => setDoing('invite')}>
              <MailPlus /> Invite
            </Button>
          </>
        )}
      </PageHead>
      {failed !== null && <ErrorNotice error={failed} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <Panel>
          {data.length === 0 ? (
            <Empty icon={Users} title="Nobody has a role here yet">
              Administrators of the installation may do everything in every project. Invite others, or add somebody who
              signs in already.
            </Empty>
          ) : (
            <MemberTable members={data} may={may} owner={rights.owner} onChange={change} onRemove={setGoing} />
          )}
        </Panel>
      )}
      <Invitations
        items={links.data ?? []}
        onRevoke={(id) =>
          api
            .revoke(project, id)
            .then(() => setProblem(null), setProblem)
            .finally(again)
        }
      />
      {doing === 'add' && (
        <AddMemberDialog project={project} owner={rights.owner} onClose={() => setDoing(null)} again={again} />
      )}
      {doing === 'invite' && (
        <InviteDialog
          project={project}
          owner={rights.owner}
          onClose={() => setDoing(null)}
          onMade={(link) => {
            setDoing(link)
            again()
          }}
        />
      )}
      {doing !== null && typeof doing === 'object' && (
        <LinkDialog link={doing} title="Send this link" onClose={() => setDoing(null)} />
      )}
      <Confirm
        open={going !== null}
        onOpenChange={(open) => !open && setGoing(null)}
        title={`Take ${going?.name ?? ''} out of ${project}?`}
        action="Take out"
        danger
        onConfirm={async () => {
          await api.remove(project, going?.name ?? '')
          await again()
        }}
      >
        The person no longer sees the project; tokens of that person no longer reach it. The account stays.
      </Confirm>
    </>
  )
}

type TableProps = {
  members: Member[]
  may: boolean
  owner: boolean
  onChange: (m: Member, next: { role?: Role; production_rows?: boolean }) => void
  onRemove: (m: Member) => void
}

function MemberTable({ members, may, owner, onChange, onRemove }: TableProps) {
  return (
    <Table aria-label="Members">
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>Role</Th>
          <Th>Rows of production</Th>
          <Th>Since</Th>
          <Th>
            <span className="sr-only">Actions</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {members.map((m) => {
          const mine = may && (m.role !== 'owner' || owner)
          const always = m.role === 'admin' || m.role === 'owner'
          return (
            <Tr key={m.name}>
              <Td className="font-medium">
                {m.name} {m.disabled && <Badge tone="warn">disabled</Badge>}
              </Td>
              <Td>
                {mine ? (
                  <Select
                    aria-label={`Role of ${m.name}`}
                    className="w-36"
                    value={m.role}
                    onValueChange={(role) => onChange(m, { role: role as Role })}
                    options={roles.map((r) => ({
                      value: r.value,
                      label: r.label,
                      disabled: r.value === 'owner' && !owner,
                    }))}
                  />
                ) : (
                  roles.find((r) => r.value === m.role)?.label
                )}
              </Td>
              <Td>
                {mine && !always ? (
                  <Checkbox
                    checked={m.production_rows}
                    onCheckedChange={(production_rows) => onChange(m, { production_rows })}
                    label={<span className="sr-only">{`${m.name} may read the rows of production`}</span>}
                  />
                ) : always || m.production_rows ? (
                  'may read them'
                ) : (
                  <span className="text-faint">–</span>
                )}
              </Td>
              <Td className="text-muted">
                <Ago at={m.created_at} />
              </Td>
              <Td className="text-right">
                {mine && (
                  <Button variant="ghost" size="icon-sm" aria-label={`Take ${m.name} out`} onClick={() => onRemove(m)}>
                    <Trash2 />
                  </Button>
                )}
              </Td>
            </Tr>
          )
        })}
      </tbody>
    </Table>
  )
}
