import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Ellipsis, MailPlus, UserPlus, Users } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { people as api, type Link, type Person } from '@/api/people'
import { queries } from '@/api/queries'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Menu, MenuContent, MenuItem, MenuLine, MenuTrigger } from '@/ui/menu'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Invitations } from './invitations'
import { PageHead } from './page'
import { EmailDialog, InvitePersonDialog, LinkDialog, NewPersonDialog } from './people-dialogs'
import { ProviderPanel } from './provider'

type Action = 'admin' | 'plain' | 'disable' | 'enable' | 'reset' | 'sign-out' | 'forget-code' | 'email' | 'delete'

/** What is asked before something is done to somebody; what is not here is done at once. */
const questions: Partial<Record<Action, { title: (name: string) => string; action: string; about: string }>> = {
  admin: {
    title: (name) => `Make ${name} an administrator?`,
    action: 'Make an administrator',
    about: 'Every right on every project, production too, and on people.',
  },
  disable: {
    title: (name) => `Disable ${name}?`,
    action: 'Disable',
    about: 'Sessions end and tokens stop at once. It can be taken back.',
  },
  'forget-code': {
    title: (name) => `Forget the authenticator of ${name}?`,
    action: 'Forget the authenticator',
    about: 'The password alone is enough from then on. Be sure that it is really the person who asked for it.',
  },
  delete: {
    title: (name) => `Delete ${name}?`,
    action: 'Delete',
    about:
      'With all roles, sessions and tokens. What the activity log says stays. Disabling can be taken back; this cannot.',
  },
}

/** Everybody who can sign in. */
export function PeopleScreen() {
  const client = useQueryClient()
  const key = ['people']
  const { data, error } = useQuery({ queryKey: key, queryFn: ({ signal }) => api.all(signal) })
  const links = useQuery({ queryKey: [...key, 'invitations'], queryFn: ({ signal }) => api.invitations(signal) })
  const you = useQuery(queries.server()).data?.you
  const [doing, setDoing] = useState<'add' | 'invite' | null>(null)
  const [link, setLink] = useState<{ link: Link; title: string } | null>(null)
  const [asked, setAsked] = useState<{ action: Action; person: Person } | null>(null)
  const [writing, setWriting] = useState<Person | null>(null)
  const [problem, setProblem] = useState<unknown>(null)
  const again = () => client.invalidateQueries({ queryKey: key })
  const run = async (action: Action, name: string) => {
    if (action === 'reset') setLink({ link: await api.resetLink(name), title: `Send this link to ${name}` })
    else if (action === 'sign-out') await api.signOut(name)
    else if (action === 'delete') await api.remove(name)
    else {
      await api.change(name, {
        admin: action === 'admin' ? true : action === 'plain' ? false : undefined,
        disabled: action === 'disable' ? true : action === 'enable' ? false : undefined,
        forget_code: action === 'forget-code' || undefined,
      })
    }
    if (action !== 'reset') toast.success('Done', { description: name })
    await again()
  }
  const choose = (action: Action, person: Person) => {
    setProblem(null)
    if (action === 'email') setWriting(person)
    else if (questions[action]) setAsked({ action, person })
    else run(action, person.name).catch(setProblem)
  }
  const question = asked && questions[asked.action]
  const failed = error ?? links.error ?? problem
  return (
    <>
      <PageHead
        name="People"
        title="People"
        about="Everybody who can sign in. What they may do in a project stands under its members."
      >
        <Button onClick={() => setDoing('add')}>
          <UserPlus /> Add with a password
        </Button>
        <Button variant="primary" onClick={() => setDoing('invite')}>
          <MailPlus /> Invite
        </Button>
      </PageHead>
      {failed !== null && <ErrorNotice error={failed} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <Panel>
          {data.length === 0 ? (
            <Empty icon={Users} title="Nobody signs in with a name yet">
              Invite the first person; until then there are tokens only.
            </Empty>
          ) : (
            <PeopleTable people={data} you={you?.person} onChoose={choose} />
          )}
        </Panel>
      )}
      <Invitations
        items={links.data ?? []}
        onRevoke={(id) =>
          api
            .revoke(id)
            .then(() => setProblem(null), setProblem)
            .finally(again)
        }
      />
      <ProviderPanel />
      {doing === 'add' && <NewPersonDialog onClose={() => setDoing(null)} again={again} />}
      {doing === 'invite' && (
        <InvitePersonDialog
          onClose={() => setDoing(null)}
          onMade={(made) => {
            setDoing(null)
            setLink({ link: made, title: 'Send this link' })
            again()
          }}
        />
      )}
      {writing && <EmailDialog person={writing} onClose={() => setWriting(null)} again={again} />}
      {link && <LinkDialog link={link.link} title={link.title} onClose={() => setLink(null)} />}
      <Confirm
        open={asked !== null}
        onOpenChange={(open) => !open && setAsked(null)}
        title={asked && question ? question.title(asked.person.name) : ''}
        action={question?.action ?? ''}
        danger
        typed={asked?.action === 'delete' ? asked.person.name : undefined}
        onConfirm={async () => asked && run(asked.action, asked.person.name)}
      >
        {question?.about}
      </Confirm>
    </>
  )
}

type TableProps = { people: Person[]; you?: string; onChoose: (action: Action, person: Person) => void }

function PeopleTable({ people, you, onChoose }: TableProps) {
  return (
    <Table aria-label="People">
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>State</Th>
          <Th>Last signed in</Th>
          <Th>Since</Th>
          <Th>
            <span className="sr-only">Actions</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {people.map((p) => (
          <Tr key={p.id}>
            <Td className="font-medium">
              {p.name} {p.id === you && <span className="font-normal text-faint">(you)</span>}
              {p.email && p.email !== p.name && <span className="block font-normal text-faint text-xs">{p.email}</span>}
            </Td>
            <Td>
              <span className="flex flex-wrap gap-1">
                {p.admin && <Badge tone="production">administrator</Badge>}
                {p.disabled && <Badge tone="warn">disabled</Badge>}
                {p.one_time_code && <Badge tone="ok">authenticator</Badge>}
              </span>
            </Td>
            <Td className="text-muted">{p.last_login_at ? <Ago at={p.last_login_at} /> : 'never'}</Td>
            <Td className="text-muted">
              <Ago at={p.created_at} />
            </Td>
            <Td className="text-right">
              <PersonMenu person={p} self={p.id === you} onChoose={(action) => onChoose(action, p)} />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}

type MenuProps = { person: Person; self: boolean; onChoose: (action: Action) => void }

function PersonMenu({ person, self, onChoose }: MenuProps) {
  const item = (action: Action, label: string, danger = false) => (
    <MenuItem danger={danger} onSelect={() => onChoose(action)}>
      {label}
    </MenuItem>
  )
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button variant="ghost" size="icon-sm" aria-label={`Actions for ${person.name}`}>
          <Ellipsis />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        {item('reset', 'Link for a new password')}
        {item('sign-out', 'Sign out everywhere')}
        {item('email', 'E-mail address…')}
        {!self && (
          <>
            {person.one_time_code && item('forget-code', 'Forget the authenticator…')}
            <MenuLine />
            {person.admin ? item('plain', 'No longer an administrator') : item('admin', 'Make an administrator…')}
            {person.disabled ? item('enable', 'Enable') : item('disable', 'Disable…')}
            {item('delete', 'Delete…', true)}
          </>
        )}
      </MenuContent>
    </Menu>
  )
}
