import { Trash2 } from 'lucide-react'
import type { Invitation } from '@/api/people'
import { words } from '@/lib/format'
import { Button } from '@/ui/button'
import { Ago, Badge, Panel, PanelHead } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'

/** One-time links that were not used yet. Nothing when there are none. */
export function Invitations({ items, onRevoke }: { items: Invitation[]; onRevoke: (id: string) => void }) {
  if (items.length === 0) return null
  return (
    <Panel className="mt-4">
      <PanelHead title="Links that were not used yet" about="Whoever holds one can use it once, until it ends." />
      <Table aria-label="Links that were not used yet">
        <thead>
          <tr>
            <Th>For</Th>
            <Th>Project</Th>
            <Th>Made by</Th>
            <Th>Ends</Th>
            <Th>
              <span className="sr-only">Actions</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {items.map((i) => (
            <Tr key={i.id}>
              <Td className="font-medium">
                {i.reset ? 'A new password' : i.admin ? 'An administrator' : i.role ? words(i.role) : 'Somebody new'}{' '}
                {i.email && <span className="font-normal text-muted">{i.email} </span>}
                {i.production_rows && <Badge tone="production">rows of production</Badge>}
              </Td>
              <Td>{i.project ?? <span className="text-faint">–</span>}</Td>
              <Td className="text-muted">{i.made_by.replace(/^token /, '')}</Td>
              <Td className="text-muted">
                <Ago at={i.expires_at} />
              </Td>
              <Td className="text-right">
                <Button
                  variant="ghost"
                  size="icon-sm"
                  aria-label={`End the link ${i.id}`}
                  onClick={() => onRevoke(i.id)}
                >
                  <Trash2 />
                </Button>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}
