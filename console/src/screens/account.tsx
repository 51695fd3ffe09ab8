import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { KeyRound, LogOut, MonitorSmartphone, ShieldCheck } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { signOut } from '@/api/client'
import { account as api, roles, type Session } from '@/api/people'
import { queries } from '@/api/queries'
import { session } from '@/api/session'
import type { Account } from '@/api/types'
import { browserOf } from '@/lib/browser'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Field, Input } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { CodeDialog, RemoveCodeDialog } from './account-code'
import { FormDialog } from './branch-dialogs'
import { PageHead } from './page'

/** One's own account: how one signs in, where one is signed in, and what one may do where. */
export function AccountScreen() {
  const you = useQuery(queries.server()).data?.you
  const person = you?.kind === 'person'
  const { data, error } = useQuery({ ...queries.account(), enabled: person })
  return (
    <>
      <PageHead name="Your account" title="Your account" about={data && `You sign in as ${data.name}.`} />
      {error && <ErrorNotice error={error} className="mb-4" />}
      {you && !person && (
        <Panel>
          <Empty icon={KeyRound} title="You are here with a token">
            Passwords, sessions and authenticators belong to people who signed in with a name.
          </Empty>
        </Panel>
      )}
      {person && !data && !error && <Skeleton className="h-60" />}
      {data && (
        <div className="flex flex-col gap-5">
          <SignIn account={data} />
          <Sessions />
          <Places account={data} />
        </div>
      )}
    </>
  )
}

function SignIn({ account }: { account: Account }) {
  const [doing, setDoing] = useState<'password' | 'code' | 'no-code' | null>(null)
  const client = useQueryClient()
  const close = () => {
    setDoing(null)
    client.invalidateQueries({ queryKey: ['account'] })
  }
  return (
    <Panel aria-label="Signing in">
      <PanelHead title="Signing in" />
      <ul className="divide-y divide-line px-4 text-sm">
        <li className="flex flex-wrap items-center justify-between gap-3 py-3">
          <div>
            <p className="font-medium">Password</p>
            <p className="text-muted text-xs">Changing it signs out every other browser; tokens stay.</p>
          </div>
          <Button onClick={() => setDoing('password')}>Change password</Button>
        </li>
        <li className="flex flex-wrap items-center justify-between gap-3 py-3">
          <div>
            <p className="flex items-center gap-2 font-medium">
              Authenticator {account.one_time_code ? <Badge tone="ok">on</Badge> : <Badge>off</Badge>}
            </p>
            <p className="text-muted text-xs">A code that changes every 30 seconds, asked for after the password.</p>
          </div>
          {account.one_time_code ? (
            <Button onClick={() => setDoing('no-code')}>Switch off</Button>
          ) : (
            <Button variant="primary" onClick={() => setDoing('code')}>
              <ShieldCheck /> Set up
            </Button>
          )}
        </li>
      </ul>
      {doing === 'password' && <PasswordDialog onClose={close} />}
      {doing === 'code' && <CodeDialog onClose={close} />}
      {doing === 'no-code' && <RemoveCodeDialog onClose={close} />}
    </Panel>
  )
}

function PasswordDialog({ onClose }: { onClose: () => void }) {
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const differs = again !== '' && again !== next
  const password = (
    label: string,
    value: string,
    set: (v: string) => void,
    complete: string,
    hint?: string,
    wrong?: string,
  ) => (
    <Field label={label} hint={hint} error={wrong}>
      {(ids) => (
        <Input
          {...ids}
          type="password"
          autoComplete={complete}
          maxLength={256}
          autoFocus={complete === 'current-password'}
          value={value}
          onChange={(e) => set(e.target.value)}
        />
      )}
    </Field>
  )
  return (
    <FormDialog
      title="Change your password"
      about="You stay signed in here, and are signed out everywhere else."
      action="Change password"
      ready={current !== '' && next.length >= 10 && next === again}
      onClose={onClose}
      onSubmit={async () => {
        await api.changePassword(current, next)
        toast.success('Your password is changed')
        onClose()
      }}
    >
      {password('Your password now', current, setCurrent, 'current-password')}
      {password('The new one', next, setNext, 'new-password', 'At least 10 characters.')}
      {password(
        'The new one again',
        again,
        setAgain,
        'new-password',
        undefined,
        differs ? 'The two differ.' : undefined,
      )}
    </FormDialog>
  )
}

function Sessions() {
  const client = useQueryClient()
  const key = ['account', 'sessions']
  const { data, error } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => api.sessions(signal),
    refetchInterval: 30_000,
  })
  const [problem, setProblem] = useState<unknown>(null)
  const [everywhere, setEverywhere] = useState(false)
  const end = (s: Session) => {
    if (s.current) return signOut()
    setProblem(null)
    return api.endSession(s.id).then(() => client.invalidateQueries({ queryKey: key }), setProblem)
  }
  return (
    <Panel aria-label="Where you are signed in">
      <PanelHead title="Where you are signed in" about="A session ends after a day without use, and after 14 days.">
        <Button onClick={() => setEverywhere(true)}>
          <LogOut /> Sign out everywhere
        </Button>
      </PanelHead>
      {(error || problem !== null) && <ErrorNotice error={error ?? problem} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-20" />}
      {data && (
        <Table aria-label="Where you are signed in">
          <thead>
            <tr>
              <Th>Browser</Th>
              <Th>From</Th>
              <Th>Begun</Th>
              <Th>Last used</Th>
              <Th>
                <span className="sr-only">Actions</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {data.map((s) => (
              <Tr key={s.id}>
                <Td className="font-medium" title={s.agent}>
                  <span className="inline-flex items-center gap-2 whitespace-nowrap">
                    <MonitorSmartphone className="size-4 text-faint" aria-hidden /> {browserOf(s.agent)}
                    {s.current && <Badge tone="ok">this one</Badge>}
                  </span>
                </Td>
                <Td className="font-mono text-muted text-xs">{s.source}</Td>
                <Td className="text-muted">
                  <Ago at={s.created_at} />
                </Td>
                <Td className="text-muted">
                  <Ago at={s.used_at} />
                </Td>
                <Td className="text-right">
                  <Button size="sm" onClick={() => end(s)}>
                    Sign out
                  </Button>
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      <Confirm
        open={everywhere}
        onOpenChange={setEverywhere}
        title="Sign out everywhere?"
        action="Sign out"
        danger
        onConfirm={async () => {
          await api.endSessions()
          session.end()
        }}
      >
        Here, too. Tokens stay; revoke them by themselves.
      </Confirm>
    </Panel>
  )
}

function Places({ account }: { account: Account }) {
  return (
    <Panel aria-label="Your projects">
      <PanelHead title="Your projects" />
      {account.admin ? (
        <p className="p-4 text-muted text-sm">You are an administrator: everything, in every project.</p>
      ) : account.places.length === 0 ? (
        <p className="p-4 text-muted text-sm">You have no role in any project yet. An admin of one can give you one.</p>
      ) : (
        <ul className="divide-y divide-line px-4 text-sm">
          {account.places.map((p) => (
            <li key={p.project} className="flex flex-wrap items-center gap-2 py-2.5">
              <Link
                to="/projects/$project"
                params={{ project: p.project }}
                className="font-medium text-accent hover:underline"
              >
                {p.project}
              </Link>
              <Badge>{p.role}</Badge>
              <span className="text-muted text-xs">{roles.find((r) => r.value === p.role)?.about}</span>
              {p.production_rows && <Badge tone="production">rows of production</Badge>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
