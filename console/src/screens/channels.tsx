import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { BellRing, Plus, Send, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { type AlertChannel, type NewAlertChannel, standing } from '@/api/standing'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Notice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { FormDialog } from './branch-dialogs'

const kinds: { value: NewAlertChannel['kind']; label: string; hint: string; placeholder: string }[] = [
  {
    value: 'webhook',
    label: 'Webhook',
    hint: 'It is sent a signed POST.',
    placeholder: 'https://hooks.example.com/alerts',
  },
  {
    value: 'email',
    label: 'E-mail',
    hint: 'The mail server: STARTTLS, or smtps:// for TLS.',
    placeholder: 'smtp://mail.example.com:587',
  },
  {
    value: 'chat',
    label: 'Chat',
    hint: 'The address of a chat service in shoutrrr’s form.',
    placeholder: 'slack://hook:…@webhook',
  },
  {
    value: 'heartbeat',
    label: 'Heartbeat',
    hint: 'Asked every so often while all is well, for a service that notices silence.',
    placeholder: 'https://hc.example.com/ping/…',
  },
]

/** Where notices of alerts go: those of a project, or without one all of the installation. */
export function Channels({ project }: { project?: string }) {
  const client = useQueryClient()
  const key = ['channels', project ?? '']
  const { data, error } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => standing.channels(project, signal),
    refetchInterval: 15_000,
  })
  const [adding, setAdding] = useState(false)
  const [removing, setRemoving] = useState<AlertChannel | null>(null)
  const [made, setMade] = useState('')
  const again = () => client.invalidateQueries({ queryKey: key })
  const test = useMutation({
    mutationFn: (c: AlertChannel) => standing.testChannel(project, c.name),
    onSuccess: (_, c) => toast.success(`${c.name} took the test notice`),
    onSettled: again,
  })
  return (
    <Panel>
      <PanelHead
        title="Notifications"
        about={
          project ? `Who is told of the alerts of ${project}.` : 'Who is told of every alert of this installation.'
        }
      >
        <Button onClick={() => setAdding(true)}>
          <Plus /> Add a channel
        </Button>
      </PanelHead>
      {(error ?? test.error) && <ErrorNotice error={error ?? test.error} className="m-3" />}
      {made !== '' && (
        <div className="m-3">
          <Notice tone="accent" icon={BellRing}>
            <span className="min-w-0 break-all">
              The webhook is signed with this key, which is not shown again: <code className="text-xs">{made}</code>
            </span>
            <CopyButton text={made} label="Copy the key" />
          </Notice>
        </div>
      )}
      {!data && !error && <Skeleton className="m-4 h-24" />}
      {data?.length === 0 && (
        <Empty icon={BellRing} title="Nobody is told">
          Alerts are shown here in any case. Add a webhook, a mail server or a chat to be told of them.
        </Empty>
      )}
      {data && data.length > 0 && (
        <Table aria-label="Channels">
          <thead>
            <tr>
              <Th>Channel</Th>
              <Th>Where</Th>
              <Th>Told of</Th>
              <Th>State</Th>
              <Th>
                <span className="sr-only">Actions</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {data.map((c) => (
              <Tr key={c.name}>
                <Td>
                  <span className="font-medium">{c.name}</span> <Badge className="ml-1">{c.kind}</Badge>
                </Td>
                <Td className="max-w-72 truncate text-muted">{c.to?.length ? c.to.join(', ') : c.address}</Td>
                <Td className="text-muted">
                  {c.kind === 'heartbeat' ? 'that all is well' : c.severity === 'critical' ? 'critical ones' : 'all'}
                </Td>
                <Td>
                  {c.failing_since ? (
                    <span className="text-production">
                      fails since <Ago at={c.failing_since} />: {c.error}
                    </span>
                  ) : c.delivered_at ? (
                    <span className="text-muted">
                      last told <Ago at={c.delivered_at} />
                    </span>
                  ) : (
                    <span className="text-muted">nothing sent yet</span>
                  )}
                </Td>
                <Td>
                  <div className="flex justify-end gap-1">
                    <Button
                      size="sm"
                      aria-label={`Send a test notice to ${c.name}`}
                      busy={test.isPending && test.variables?.name === c.name}
                      onClick={() => test.mutate(c)}
                    >
                      <Send /> Test
                    </Button>
                    <Button
                      size="icon-sm"
                      variant="ghost"
                      aria-label={`Remove the channel ${c.name}`}
                      onClick={() => setRemoving(c)}
                    >
                      <Trash2 />
                    </Button>
                  </div>
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {adding && (
        <ChannelDialog
          project={project}
          onClose={() => setAdding(false)}
          onAdded={(secret) => {
            setAdding(false)
            setMade(secret)
            again()
          }}
        />
      )}
      <Confirm
        open={removing !== null}
        onOpenChange={() => setRemoving(null)}
        title={`Remove the channel ${removing?.name}?`}
        action="Remove"
        danger
        onConfirm={async () => {
          await standing.removeChannel(project, removing?.name ?? '')
          await again()
        }}
      >
        It is told of nothing any more, also not of what still waits to be delivered.
      </Confirm>
    </Panel>
  )
}

type DialogProps = { project?: string; onClose: () => void; onAdded: (key: string) => void }

function ChannelDialog({ project, onClose, onAdded }: DialogProps) {
  const [name, setName] = useState('')
  const [ask, setAsk] = useState<NewAlertChannel>({ kind: 'webhook', url: '', severity: 'warning' })
  const [to, setTo] = useState('')
  const change = (c: Partial<NewAlertChannel>) => setAsk({ ...ask, ...c })
  const kind = kinds.find((k) => k.value === ask.kind)
  const mail = ask.kind === 'email'
  return (
    <FormDialog
      title="Add a channel"
      about="What is secret in it is never shown again. A name that is there already is replaced."
      action="Add"
      ready={name.trim() !== '' && ask.url.trim() !== '' && (!mail || to.trim() !== '')}
      onClose={onClose}
      onSubmit={async () => {
        const receivers = to.split(/[\s,;]+/).filter(Boolean)
        const made = await standing.setChannel(project, name.trim(), mail ? { ...ask, to: receivers } : ask)
        onAdded(made.key ?? '')
      }}
    >
      <Field label="Name">
        {(ids) => (
          <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} placeholder="on-call" />
        )}
      </Field>
      <Field label="Kind" hint={kind?.hint}>
        {(ids) => (
          <Select
            id={ids.id}
            value={ask.kind}
            onValueChange={(k) => change({ kind: k as NewAlertChannel['kind'] })}
            options={kinds.map((k) => ({ value: k.value, label: k.label }))}
          />
        )}
      </Field>
      <Field label="Address">
        {(ids) => (
          <Input
            {...ids}
            value={ask.url}
            placeholder={kind?.placeholder}
            onChange={(e) => change({ url: e.target.value })}
          />
        )}
      </Field>
      {mail && (
        <>
          <Field label="To" hint="One or several, with commas between them.">
            {(ids) => (
              <Input {...ids} value={to} onChange={(e) => setTo(e.target.value)} placeholder="team@example.com" />
            )}
          </Field>
          <Field label="From">
            {(ids) => <Input {...ids} value={ask.from ?? ''} onChange={(e) => change({ from: e.target.value })} />}
          </Field>
          <Field label="User at the mail server">
            {(ids) => <Input {...ids} value={ask.user ?? ''} onChange={(e) => change({ user: e.target.value })} />}
          </Field>
          <Field label="Password at the mail server">
            {(ids) => (
              <Input
                {...ids}
                type="password"
                autoComplete="new-password"
                value={ask.password ?? ''}
                onChange={(e) => change({ password: e.target.value })}
              />
            )}
          </Field>
        </>
      )}
      {ask.kind !== 'heartbeat' && (
        <Checkbox
          checked={ask.severity === 'critical'}
          onCheckedChange={(only) => change({ severity: only ? 'critical' : 'warning' })}
          label="Only of critical alerts"
        />
      )}
      <Checkbox
        checked={ask.allow_private ?? false}
        onCheckedChange={(allow_private) => change({ allow_private })}
        label="The address may lie in a private network"
        hint="Needs an administrator of the installation."
      />
    </FormDialog>
  )
}
