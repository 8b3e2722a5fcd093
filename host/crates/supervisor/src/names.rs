//! Names of hosts without the C library, which looks for its own parts in the image: a static program must not.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, TYPE};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, config::Config, http::Uri};

/// Rounds over all name servers, and how long one may take to answer.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses of a name that are used.
const MOST: usize = 16;

/// Looks in `/etc/hosts`, then asks the servers of `/etc/resolv.conf` for addresses of version 4.
#[derive(Debug)]
pub(crate) struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => look_up(host)?,
        };
        let mut all = self.empty();
        for address in found.into_iter().take(MOST) {
            all.push(SocketAddr::new(address, port));
        }
        if all.is_empty() { Err(Error::HostNotFound) } else { Ok(all) }
    }
}

fn look_up(host: &str) -> Result<Vec<IpAddr>, Error> {
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let here = in_hosts(&hosts, host);
    if !here.is_empty() {
        return Ok(here);
    }
    let servers = servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let mut last = Error::HostNotFound;
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        match ask(*server, host) {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(line).collect()
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let address = line.strip_prefix("nameserver")?.trim().parse().ok()?;
        Some(SocketAddr::new(address, 53))
    };
    text.lines().filter_map(server).collect()
}

fn ask(server: SocketAddr, host: &str) -> Result<Vec<IpAddr>, Error> {
    let mut random = [0; 2];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let id = u16::from_ne_bytes(random);
    let bad = |_| Error::HostNotFound;
    let mut query = Packet::new_query(id);
    query.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    let name = Name::new(host).map_err(bad)?;
    query.questions.push(Question::new(name, QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false));
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&query.build_bytes_vec().map_err(bad)?)?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer)?;
    let packet = Packet::parse(&answer[..length]).map_err(bad)?;
    if packet.id() != id {
        return Err(Error::HostNotFound);
    }
    let address = |record: &simple_dns::ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
        _ => None,
    };
    Ok(packet.answers.iter().filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_hosts_file_and_servers_in_their_own() {
        let hosts = "127.0.0.1 localhost # me\n# 10.0.0.1 other\n10.1.2.3\ta.example B.example\n";
        assert_eq!(in_hosts(hosts, "localhost"), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(in_hosts(hosts, "b.example"), [IpAddr::from([10, 1, 2, 3])]);
        assert!(in_hosts(hosts, "other").is_empty());
        let servers = servers("search x\nnameserver 10.0.0.2\noptions ndots:1\nnameserver fd00::1\n");
        assert_eq!(servers, ["10.0.0.2:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
    }

    #[test]
    fn a_name_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            let query = Packet::parse(&buffer[..length]).unwrap();
            let mut reply = Packet::new_reply(query.id());
            let name = query.questions[0].qname.clone();
            let data = RData::A(simple_dns::rdata::A { address: u32::from_be_bytes([10, 9, 8, 7]) });
            reply.answers.push(simple_dns::ResourceRecord::new(name, CLASS::IN, 60, data));
            server.send_to(&reply.build_bytes_vec().unwrap(), from).unwrap();
        });
        assert_eq!(ask(at, "s3.example").unwrap(), [IpAddr::from([10, 9, 8, 7])]);
        served.join().unwrap();
    }
}
