"Everything about the package is in settings.ini; this file only hands it to setuptools."
import shlex
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
pkg = cfg['lib_path']
licenses = {'apache2': 'Apache-2.0'}
statuses = {'1': 'Planning', '2': 'Pre-Alpha', '3': 'Alpha', '4': 'Beta', '5': 'Production/Stable'}

def words(key): return shlex.split(cfg.get(key, ''))

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], url=cfg['git_url'],
    license=licenses[cfg['license']], license_files=['LICENSE'],
    classifiers=[f"Development Status :: {cfg['status']} - {statuses[cfg['status']]}",
                 f"Intended Audience :: {cfg['audience']}", f"Natural Language :: {cfg['language']}",
                 *(f'Programming Language :: Python :: 3.{minor}' for minor in (11, 12, 13))],
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=[pkg, f'{pkg}.*']), package_data={pkg: ['data/*', 'data/**/*']},
    include_package_data=False, zip_safe=False, python_requires='>=' + cfg['min_python'],
    install_requires=words('requirements'),
    extras_require={key: words(f'{key}_requirements') for key in ('dev', 'docs', 'harness')},
    entry_points={'console_scripts': words('console_scripts'), 'nbdev': [f'{pkg}={pkg}._modidx:d']})
