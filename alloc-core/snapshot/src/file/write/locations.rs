//! [`Locations`]: ids for addresses, counted from 1.

use super::pages::{NoMemory, Pages};

/// All distinct addresses in the order of their first occurrence, and an index over them.
///
/// It takes up twelve to 24 bytes for each address.
pub(super) struct Locations {
    addresses: Pages<usize>,
    /// Ids by the hash of the address; zero is an empty slot. The length is a power of two.
    index: Pages<u32>,
}

impl Locations {
    const FIRST: usize = 1 << 12;

    pub(super) fn new() -> Result<Locations, NoMemory> {
        Ok(Locations {
            addresses: Pages::new(),
            index: Pages::zeroed(Locations::FIRST)?,
        })
    }

    /// The id of an address. A new address gets the next id.
    pub(super) fn id_of(&mut self, address: usize) -> Result<u64, NoMemory> {
        let place = match self.find(address) {
            Ok(id) => return Ok(id.into()),
            Err(place) if 4 * self.addresses.len() < 3 * self.index.len() => place,
            Err(_) => {
                self.grow()?;
                self.find(address).err().unwrap_or_default()
            }
        };
        self.addresses.push(address)?;
        let id = u32::try_from(self.addresses.len()).map_err(|_| NoMemory)?;
        self.index[place] = id;
        Ok(id.into())
    }

    /// The addresses in the order of their ids.
    pub(super) fn addresses(&self) -> &[usize] {
        &self.addresses
    }

    #[cfg(test)]
    pub(super) fn mapped(&self) -> usize {
        self.addresses.mapped() + self.index.mapped()
    }

    /// The id of an address, or the slot for it.
    fn find(&self, address: usize) -> Result<u32, usize> {
        let mask = self.index.len() - 1;
        let hash = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut place = (hash >> 32) as usize & mask;
        loop {
            match self.index[place] {
                0 => return Err(place),
                id if self.addresses[id as usize - 1] == address => return Ok(id),
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn grow(&mut self) -> Result<(), NoMemory> {
        // Frees the smaller index first: the larger one is rebuilt from the addresses.
        let len = 2 * self.index.len();
        self.index = Pages::new();
        self.index = Pages::zeroed(len)?;
        for at in 0..self.addresses.len() {
            if let Err(place) = self.find(self.addresses[at]) {
                self.index[place] = at as u32 + 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_id() {
        let mut locations = Locations::new().unwrap();
        let address = |at: usize| 0x5555_0000_0000 + at * 16;
        for at in 0..20_000 {
            assert_eq!(locations.id_of(address(at)), Ok(at as u64 + 1));
            assert_eq!(locations.id_of(address(at / 2)), Ok(at as u64 / 2 + 1));
        }
        assert!((0..20_000).all(|at| locations.addresses()[at] == address(at)));
    }
}
