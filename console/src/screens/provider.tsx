import { useQuery, useQueryClient } from '@tanstack/react-query'
import { KeyRound } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { provider as api, type Provider } from '@/api/people'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Field, Input } from '@/ui/field'
import { Empty, ErrorNotice, Panel, PanelHead } from '@/ui/pieces'
import { FormDialog } from './branch-dialogs'

/** The OpenID Connect provider that people may sign in with besides their passwords. */
export function ProviderPanel() {
  const client = useQueryClient()
  const key = ['provider']
  const { data, error } = useQuery({ queryKey: key, queryFn: ({ signal }) => api.get(signal) })
  const [doing, setDoing] = useState<'set' | 'remove' | null>(null)
  const again = () => client.invalidateQueries({ queryKey: key })
  return (
    <Panel className="mt-5">
      <PanelHead
        title="OpenID Connect"
        about="A provider that people may sign in with. It lets in whose verified e-mail address stands at a person or in an invitation, and nobody else."
      >
        {data && (
          <>
            <Button onClick={() => setDoing('set')}>Change the provider</Button>
            <Button onClick={() => setDoing('remove')}>Remove the provider</Button>
          </>
        )}
        {data === null && <Button onClick={() => setDoing('set')}>Name a provider</Button>}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      {data === null && (
        <Empty icon={KeyRound} title="No provider">
          People sign in with passwords. A provider has to know this address to send browsers back to:{' '}
          <code className="break-all text-xs">{redirect()}</code>
        </Empty>
      )}
      {data && (
        <dl className="divide-y divide-line px-4 text-sm">
          <Row name="Name">{data.name}</Row>
          <Row name="Issuer">{data.issuer}</Row>
          <Row name="Client ID">{data.client_id}</Row>
          <Row name="Client secret">is set, and never shown</Row>
          <Row name="Redirect URL">
            <code className="break-all text-xs">{data.redirect_url}</code>{' '}
            <CopyButton text={data.redirect_url} label="Copy the redirect URL" variant="ghost" size="icon-sm" />
          </Row>
        </dl>
      )}
      {doing === 'set' && (
        <ProviderDialog
          now={data ?? null}
          onClose={() => setDoing(null)}
          onSaved={() => {
            setDoing(null)
            again()
          }}
        />
      )}
      <Confirm
        open={doing === 'remove'}
        onOpenChange={(open) => !open && setDoing(null)}
        title={`Remove ${data?.name}?`}
        action="Remove"
        danger
        onConfirm={async () => {
          await api.remove()
          await again()
        }}
      >
        People sign in with passwords only. Who has none needs a link for one.
      </Confirm>
    </Panel>
  )
}

const redirect = () => `${location.origin}/api/v1/login/oidc/callback`

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex min-h-10 items-center justify-between gap-4 py-1.5">
      <dt className="shrink-0 text-muted">{name}</dt>
      <dd className="min-w-0 break-words text-right font-medium">{children}</dd>
    </div>
  )
}

type DialogProps = { now: Provider | null; onClose: () => void; onSaved: () => void }

function ProviderDialog({ now, onClose, onSaved }: DialogProps) {
  const [name, setName] = useState(now?.name ?? '')
  const [issuer, setIssuer] = useState(now?.issuer ?? '')
  const [id, setID] = useState(now?.client_id ?? '')
  const [secret, setSecret] = useState('')
  const kept = now !== null && issuer.trim() === now.issuer
  return (
    <FormDialog
      title={now ? 'Change the provider' : 'Name a provider'}
      about={
        <>
          It is asked for its description before it is saved. It has to know this redirect URL:{' '}
          <code className="break-all text-xs">{now?.redirect_url ?? redirect()}</code>
        </>
      }
      action="Save"
      ready={[name, issuer, id].every((text) => text.trim() !== '') && (kept || secret !== '')}
      onClose={onClose}
      onSubmit={async () => {
        await api.set({
          name: name.trim(),
          issuer: issuer.trim(),
          client_id: id.trim(),
          ...(secret && { client_secret: secret }),
        })
        onSaved()
      }}
    >
      <Field label="Name" hint="What the button says: the provider as people know it.">
        {(ids) => <Input {...ids} autoFocus maxLength={60} value={name} onChange={(e) => setName(e.target.value)} />}
      </Field>
      <Field label="Issuer" hint="The address by which the provider calls itself.">
        {(ids) => (
          <Input
            {...ids}
            maxLength={500}
            value={issuer}
            placeholder="https://login.example.com"
            onChange={(e) => setIssuer(e.target.value)}
          />
        )}
      </Field>
      <Field label="Client ID" hint="What this server is called there.">
        {(ids) => <Input {...ids} maxLength={500} value={id} onChange={(e) => setID(e.target.value)} />}
      </Field>
      <Field label="Client secret" hint={kept ? 'Empty: it stays the one that is set.' : undefined}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            autoComplete="new-password"
            maxLength={500}
            value={secret}
            onChange={(e) => setSecret(e.target.value)}
          />
        )}
      </Field>
    </FormDialog>
  )
}
